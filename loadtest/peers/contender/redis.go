package contender

import (
	"context"
	"fmt"
	"net"
	"syscall"

	"github.com/redis/go-redis/v9"

	"sekali/loadtest/peers/events"
	"sekali/loadtest/peers/measure"
)

var redisSettings = []string{"--appendonly", "yes", "--appendfsync", "always", "--save", ""}

func redisKinds() []Kind {
	return []Kind{{
		Name: "redis", Family: "redis", Label: "Redis",
		Connections: 16, RequestEvents: 100,
		Settings: []string{
			"appendonly yes", "appendfsync always", "no RDB snapshots",
			"one Lua script a batch: SET NX, and XADD to the topic's stream when it was new; a script runs alone and is one transaction of the log",
		},
		start: func(_ Environment, k Kind) Peer { return &redisServer{kind: k} },
	}}
}

// redisServer is a Redis of its own, with a key for each id and a stream for
// each topic.
type redisServer struct {
	*child

	kind   Kind
	client *redis.Client
}

const (
	redisKeyPrefix    = "id:"
	redisStreamPrefix = "events:"
)

// redisScript claims each id and adds its event: a script runs alone, and its
// effects are written to the log as one transaction, so no id is claimed
// without its event.
var redisScript = redis.NewScript(`
local new = 0
for i = 1, #KEYS do
  if redis.call('SET', KEYS[i], '1', 'NX') then
    local a = (i - 1) * 5
    redis.call('XADD', 'events:' .. ARGV[a + 1], '*', 'id', ARGV[a + 2], 'source', ARGV[a + 3],
      'timestamp', ARGV[a + 4], 'payload', ARGV[a + 5])
    new = new + 1
  end
end
return new`)

// Start starts the server.
func (s *redisServer) Start(ctx context.Context, dir string) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(address)
	args := append([]string{"--bind", "127.0.0.1", "--port", port, "--dir", dir, "--daemonize", "no"}, redisSettings...)
	if s.child, err = startChild(nil, dir, "redis-server", args...); err != nil {
		return err
	}
	s.client = redis.NewClient(&redis.Options{Addr: address, PoolSize: s.kind.Connections, MaxRetries: -1})
	return s.awaitReady(ctx, s.load)
}

// load loads the script; it fails while the server reads its log.
func (s *redisServer) load(ctx context.Context) error { return redisScript.Load(ctx, s.client).Err() }

// Version asks the server.
func (s *redisServer) Version(ctx context.Context) (string, error) {
	info, err := s.client.InfoMap(ctx, "server").Result()
	return info["Server"]["redis_version"], err
}

// Process is the server.
func (s *redisServer) Process() int { return s.pid() }

// Load runs the script for batches over several connections.
func (s *redisServer) Load(ctx context.Context, feed *Feed, recorder *measure.Recorder) error {
	senders := make([]send, s.kind.Connections)
	for i := range senders {
		w := redisWriter{client: s.client}
		senders[i] = w.run
	}
	return drive(ctx, feed, recorder, senders)
}

// redisWriter runs the script. It uses its memory again.
type redisWriter struct {
	client    *redis.Client
	keys      []string
	arguments []any
}

func (w *redisWriter) run(ctx context.Context, b *events.Batch) (stored, duplicates int, err error) {
	w.keys, w.arguments = w.keys[:0], w.arguments[:0]
	for i := range b.Events {
		e := &b.Events[i]
		w.keys = append(w.keys, redisKeyPrefix+e.Topic+":"+e.ID)
		w.arguments = append(w.arguments, e.Topic, e.ID, e.Source, e.Timestamp, e.Payload)
	}
	stored, err = redisScript.EvalSha(ctx, w.client, w.keys, w.arguments...).Int()
	return stored, len(b.Events) - stored, err
}

func (s *redisServer) close() {
	if s.client != nil {
		_ = s.client.Close() // The server is about to end.
		s.client = nil
	}
}

// Crash is kill -9.
func (s *redisServer) Crash() error {
	s.close()
	return s.crash()
}

// Stop is SIGTERM.
func (s *redisServer) Stop() error {
	s.close()
	return s.stop(syscall.SIGTERM)
}

// Count is the number of keys but for those of the streams.
func (s *redisServer) Count(ctx context.Context) (int64, error) {
	keys, err := s.client.DBSize(ctx).Result()
	if err != nil {
		return 0, err
	}
	streams := make([]string, len(events.Topics))
	for i, topic := range events.Topics {
		streams[i] = redisStreamPrefix + topic
	}
	n, err := s.client.Exists(ctx, streams...).Result()
	return keys - n, err
}

const redisPage = 1000

// Each reads the streams page by page.
func (s *redisServer) Each(ctx context.Context, visit func(events.Event) error) error {
	for _, topic := range events.Topics {
		from := "-"
		for {
			page, err := s.client.XRangeN(ctx, redisStreamPrefix+topic, from, "+", redisPage).Result()
			if err != nil {
				return err
			}
			for _, m := range page {
				if err := visitMessage(topic, m, visit); err != nil {
					return err
				}
			}
			if len(page) < redisPage {
				break
			}
			from = "(" + page[len(page)-1].ID
		}
	}
	return nil
}

func visitMessage(topic string, m redis.XMessage, visit func(events.Event) error) error {
	fields := map[string]string{}
	for name, value := range m.Values {
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("field %s of %s is no string", name, m.ID)
		}
		fields[name] = text
	}
	return visit(events.Event{
		Topic: topic, ID: fields["id"], Source: fields["source"],
		Timestamp: fields["timestamp"], Payload: fields["payload"],
	})
}
