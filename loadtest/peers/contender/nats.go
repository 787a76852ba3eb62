package contender

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"sekali/loadtest/peers/events"
	"sekali/loadtest/peers/measure"
)

// natsWindow is longer than any run.
const natsWindow = 24 * time.Hour

// natsKinds are driven as each was best in trials: with an fsync for every
// message, streams that sync beside each other, twice as fast as a single one;
// without, a single one. With more messages without an answer only the latency
// grew.
func natsKinds() []Kind {
	always := natsKind("always", "sync always", "a stream for each topic",
		natsServer{sync: "sync_interval: always", streams: events.Topics[:], pending: 256})
	relaxed := natsKind("default", "default, no fsync", "one stream, a subject for each topic",
		natsServer{streams: []string{">"}, pending: 128})
	relaxed.Unsafe = "synced every 2 minutes"
	return []Kind{always, relaxed}
}

func natsKind(name, label, streams string, server natsServer) Kind {
	return Kind{
		Name: "nats-" + name, Family: "nats-" + name, Label: "NATS JetStream, " + label,
		Connections: 1, RequestEvents: 1,
		Settings: []string{
			cmp.Or(server.sync, "sync_interval by default"), "file storage", streams,
			"Nats-Msg-Id of topic and id", fmt.Sprintf("duplicate window %s", natsWindow),
			fmt.Sprintf("asynchronous publish, at most %d without an answer", server.pending),
		},
		start: func(e Environment, _ Kind) Peer {
			s := server
			s.binary = e.NATS
			return &s
		},
	}
}

// natsServer is a NATS server.
//
// Batches are not used, although one would share its fsync: JetStream refuses
// an atomic batch whole when one message of it is a duplicate, without saying
// which one.
type natsServer struct {
	*child

	sync    string   // a line of the configuration
	streams []string // the subject of each
	pending int      // most publishes without an answer

	binary  string
	address string
	conn    *nats.Conn
}

const natsConfig = `listen: %q
server_name: peer
jetstream {
  store_dir: %q
  max_file_store: 1TB
  %s
}
`

// Start starts the server, and makes the stream when it is not there.
func (s *natsServer) Start(ctx context.Context, dir string) (err error) {
	if s.address, err = freeAddress(); err != nil {
		return err
	}
	config := filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf(natsConfig, s.address, filepath.Join(dir, "data"), s.sync)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	if s.child, err = startChild(nil, dir, s.binary, "--config", config); err != nil {
		return err
	}
	return s.awaitReady(ctx, s.open)
}

func (s *natsServer) open(ctx context.Context) (err error) {
	if s.conn == nil {
		if s.conn, err = nats.Connect("nats://" + s.address); err != nil {
			return err
		}
	}
	js, err := jetstream.New(s.conn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, subject := range s.streams {
		if _, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: streamName(subject), Subjects: []string{subjectPrefix + subject},
			Storage: jetstream.FileStorage, Duplicates: natsWindow,
		}); err != nil {
			return err
		}
	}
	return nil
}

// streamName leaves out what the name of a stream must not have.
func streamName(subject string) string {
	return "events" + strings.NewReplacer(".", "_", ">", "").Replace("_"+subject)
}

const subjectPrefix = "events."

func (s *natsServer) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// Version asks the server.
func (s *natsServer) Version(context.Context) (string, error) {
	return s.conn.ConnectedServerVersion(), nil
}

// Process is the server.
func (s *natsServer) Process() int { return s.pid() }

// Load publishes without waiting for each answer.
func (s *natsServer) Load(ctx context.Context, feed *Feed, recorder *measure.Recorder) error {
	js, err := jetstream.New(s.conn, jetstream.WithPublishAsyncMaxPending(s.pending))
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	queues := map[string]chan published{} // by topic
	var all []chan published              // one for each stream
	for range s.streams {
		queue := make(chan published, s.pending)
		all = append(all, queue)
		group.Go(func() error { return collect(ctx, queue, recorder) })
	}
	for i, topic := range events.Topics {
		queues[topic] = all[i%len(all)]
	}
	group.Go(func() error {
		err := publishAll(ctx, js, feed, queues)
		for _, queue := range all {
			close(queue)
		}
		return err
	})
	return group.Wait()
}

// published is a message that waits for its answer.
type published struct {
	at     time.Time
	future jetstream.PubAckFuture
}

func publishAll(ctx context.Context, js jetstream.JetStream, feed *Feed, queues map[string]chan published) error {
	var b events.Batch
	for feed.Next(&b) {
		for i := range b.Events {
			e := &b.Events[i]
			at := time.Now()
			future, err := js.PublishMsgAsync(&nats.Msg{
				Subject: subjectPrefix + e.Topic,
				Header:  nats.Header{jetstream.MsgIDHeader: {e.Topic + "/" + e.ID}},
				Data:    []byte(e.JSON),
			}, jetstream.WithStallWait(time.Minute))
			if err != nil {
				return fmt.Errorf("publish: %w", err)
			}
			select {
			case queues[e.Topic] <- published{at, future}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// collect takes the answers in the order of the messages, which is the one in
// which a stream gives them.
func collect(ctx context.Context, pending <-chan published, recorder *measure.Recorder) error {
	for p := range pending {
		select {
		case ack := <-p.future.Ok():
			if ack.Duplicate {
				recorder.Add(time.Since(p.at), 0, 1)
			} else {
				recorder.Add(time.Since(p.at), 1, 0)
			}
		case err := <-p.future.Err():
			return fmt.Errorf("publish: %w", err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Crash is kill -9.
func (s *natsServer) Crash() error {
	s.close()
	return s.crash()
}

// Stop is SIGTERM.
func (s *natsServer) Stop() error {
	s.close()
	return s.stop(syscall.SIGTERM)
}

// Count is the number of messages of the streams.
func (s *natsServer) Count(ctx context.Context) (sum int64, err error) {
	err = s.eachStream(ctx, func(_ jetstream.Stream, messages int) error {
		sum += int64(messages)
		return nil
	})
	return sum, err
}

func (s *natsServer) eachStream(ctx context.Context, visit func(jetstream.Stream, int) error) error {
	js, err := jetstream.New(s.conn)
	if err != nil {
		return err
	}
	for _, subject := range s.streams {
		stream, err := js.Stream(ctx, streamName(subject))
		if err != nil {
			return err
		}
		if err := visit(stream, int(stream.CachedInfo().State.Msgs)); err != nil {
			return err
		}
	}
	return nil
}

// Each reads the streams from their beginnings.
func (s *natsServer) Each(ctx context.Context, visit func(events.Event) error) error {
	return s.eachStream(ctx, func(stream jetstream.Stream, messages int) error {
		return readStream(ctx, stream, messages, visit)
	})
}

func readStream(ctx context.Context, stream jetstream.Stream, left int, visit func(events.Event) error) error {
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(5000))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for ; left > 0; left-- {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		e, err := events.Parse(m.Data())
		if err != nil {
			return err
		}
		if topic := strings.TrimPrefix(m.Subject(), subjectPrefix); topic != e.Topic {
			return fmt.Errorf("event %q of topic %q has the subject of %q", e.ID, e.Topic, topic)
		}
		if err := visit(e); err != nil {
			return err
		}
	}
	return nil
}
