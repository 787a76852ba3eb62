package contender

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sekali/loadtest/peers/events"
	"sekali/loadtest/peers/measure"
)

const (
	natsPending = 4000           // publishes without an answer
	natsWindow  = 24 * time.Hour // longer than any run
)

func natsKinds() []Kind {
	kind := func(name, label, unsafe, sync string) Kind {
		return Kind{
			Name: "nats-" + name, Family: "nats-" + name, Label: "NATS JetStream, " + label, Unsafe: unsafe,
			Connections: 1, RequestEvents: 1,
			Settings: []string{
				sync, "file storage, one stream, one subject a topic", "Nats-Msg-Id of topic and id",
				fmt.Sprintf("duplicate window %s", natsWindow),
				fmt.Sprintf("asynchronous publish, at most %d without an answer", natsPending),
			},
		}
	}
	always := kind("always", "sync always", "", "sync_interval: always")
	always.start = func(e Environment, k Kind) Peer {
		return &natsServer{binary: e.NATS, kind: k, sync: "sync_interval: always"}
	}
	relaxed := kind("default", "default, no fsync", "synced every 2 minutes", "sync_interval by default (2m)")
	relaxed.start = func(e Environment, k Kind) Peer { return &natsServer{binary: e.NATS, kind: k} }
	return []Kind{always, relaxed}
}

// natsServer is a NATS server with one stream.
//
// Batches are not used, although one would share its fsync: JetStream refuses
// an atomic batch whole when one message of it is a duplicate, without saying
// which one.
type natsServer struct {
	*child

	binary  string
	kind    Kind
	sync    string // a line of the configuration
	address string
	conn    *nats.Conn
	stream  jetstream.Stream
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
	s.stream, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: "events", Subjects: []string{subjectPrefix + ">"},
		Storage: jetstream.FileStorage, Duplicates: natsWindow,
	})
	return err
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
	js, err := jetstream.New(s.conn, jetstream.WithPublishAsyncMaxPending(natsPending))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pending := make(chan published, natsPending)
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		cancel(collect(ctx, pending, recorder))
	}()
	err = publishAll(ctx, js, feed, pending)
	close(pending)
	<-collected
	if err != nil {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// published is a message that waits for its answer.
type published struct {
	at     time.Time
	future jetstream.PubAckFuture
}

func publishAll(ctx context.Context, js jetstream.JetStream, feed *Feed, pending chan<- published) error {
	var b events.Batch
	for ctx.Err() == nil && feed.Next(&b) {
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
			case pending <- published{at, future}:
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

// Count is the number of messages of the stream.
func (s *natsServer) Count(ctx context.Context) (int64, error) {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return 0, err
	}
	return int64(info.State.Msgs), nil
}

// Each reads the stream from its beginning.
func (s *natsServer) Each(ctx context.Context, visit func(events.Event) error) error {
	left, err := s.Count(ctx)
	if err != nil || left == 0 {
		return err
	}
	consumer, err := s.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
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
