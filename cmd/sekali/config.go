package main

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"sekali"
	"sekali/persistence/keyfile"
	"sekali/persistence/sqlite"
)

// config is what 'sekali serve' can be told. defineFlags has the name, the
// default and the meaning of each field.
type config struct {
	listen         string
	dataDir        string
	allowAnonymous bool
	durability     string
	exposure

	allowFileSystem, acceptLoss string

	logLevel, logFormat string

	maxBodyBytes           byteSize
	maxInFlightBodyBytes   byteSize
	maxInFlightAnswerBytes byteSize
	maxBatchEvents         int
	maxConnections         int
	maxInFlightEvents      int
	maxInFlightBytes       byteSize
	maxTopicInFlightEvents int
	maxKeyInFlightEvents   int
	maxKeyInFlightBytes    byteSize
	maxTopicInFlightBytes  byteSize
	maxActiveTopics        int
	seenCacheEntries       int64

	requestTimeout, readTimeout, writeTimeout, idleTimeout time.Duration
	topicIdleTimeout, shutdownTimeout                      time.Duration

	file string
}

// defineFlags is the reference of the configuration: docs/configuration.md is
// generated from it.
func (c *config) defineFlags(f *pflag.FlagSet) {
	c.maxBodyBytes, c.maxInFlightBodyBytes, c.maxInFlightAnswerBytes = 8<<20, 64<<20, 128<<20
	c.maxInFlightBytes, c.maxTopicInFlightBytes, c.maxKeyInFlightBytes = 256<<20, 160<<20, 32<<20
	f.StringVar(&c.listen, "listen", "127.0.0.1:8080", "`address` to listen on; beyond loopback it needs a key (sekali keys create) or --allow-anonymous")
	f.StringVar(&c.dataDir, "data-dir", "./data", "`directory` of the database; created when missing, used by one process at a time")
	f.BoolVar(&c.allowAnonymous, "allow-anonymous", false, "serve anyone who can reach a non-loopback address, as long as there is no key")
	c.exposure.defineFlags(f)
	f.StringVar(&c.durability, "durability", "durable", "`mode` of commits: durable (synced before the answer) or relaxed (a loss of power may take the last commits; every answer says so)")
	f.StringVar(&c.allowFileSystem, "allow-file-system", "", "`type` of file system to take although it is known not to keep what it is told to, like nfs or fuse; the refusal names it")
	f.StringVar(&c.acceptLoss, "accept-loss", "", "`id` of a loss of acknowledged events, as the refusal to start names it, to go on after; any other loss is refused all the same")
	f.StringVar(&c.logLevel, "log-level", "info", "least `level` that is logged: debug, info, warn or error")
	f.StringVar(&c.logFormat, "log-format", "text", "`format` of the log on standard error: text or json; json leaves the banner out")
	f.Var(&c.maxBodyBytes, "max-body-bytes", "largest request body, as sent and decompressed; beyond it 413 body_too_large")
	f.Var(&c.maxInFlightBodyBytes, "max-in-flight-body-bytes", "most memory of request bodies being received and decompressed, beyond 16KiB of each; beyond it 503 overloaded")
	f.Var(&c.maxInFlightAnswerBytes, "max-in-flight-answer-bytes", "most memory of answers being sent, beyond 64KiB of each: once for what was read, once for what was published; beyond it 503 overloaded")
	f.IntVar(&c.maxBatchEvents, "max-batch-events", 10_000, "most `events` in one request; beyond it 413 batch_too_large")
	f.IntVar(&c.maxConnections, "max-connections", 4096, "most open `connections`; further ones are closed with 503")
	f.IntVar(&c.maxInFlightEvents, "max-in-flight-events", 30_000, "most `events` taken in and not yet answered; beyond it 503 overloaded")
	f.Var(&c.maxInFlightBytes, "max-in-flight-bytes", "most memory of events in flight; beyond it 503 overloaded")
	f.IntVar(&c.maxTopicInFlightEvents, "max-topic-in-flight-events", 20_000, "most `events` of one topic in flight; beyond it 429 topic_overloaded")
	f.Var(&c.maxTopicInFlightBytes, "max-topic-in-flight-bytes", "most memory of events of one topic in flight; beyond it 429 topic_overloaded")
	f.IntVar(&c.maxKeyInFlightEvents, "max-key-in-flight-events", 15_000, "most `events` of one key in flight; beyond it 429 rate_limited")
	f.Var(&c.maxKeyInFlightBytes, "max-key-in-flight-bytes", "most bytes of request bodies of one key, from their announcement to their answer; beyond it 429 rate_limited")
	f.IntVar(&c.maxActiveTopics, "max-active-topics", 10_000, "most idle `topics` kept in memory (about 2 kB each); further ones are freed early, which only costs speed")
	f.Int64Var(&c.seenCacheEntries, "seen-cache-entries", 131_072, "most recent `ids` remembered in memory (about 150 bytes each); fewer only cost speed")
	f.DurationVar(&c.requestTimeout, "request-timeout", 10*time.Second, "longest `time` from a received request to its answer; beyond it 503 commit_timeout")
	f.DurationVar(&c.readTimeout, "read-timeout", 30*time.Second, "longest `time` for receiving one request; beyond it 408 request_timeout")
	f.DurationVar(&c.writeTimeout, "write-timeout", 30*time.Second, "longest `time` for sending an answer, or one page of a stream")
	f.DurationVar(&c.idleTimeout, "idle-timeout", 2*time.Minute, "longest `time` that a connection may wait for its next request")
	f.DurationVar(&c.topicIdleTimeout, "topic-idle-timeout", time.Minute, "`time` after which the memory of an unused topic is freed")
	f.DurationVar(&c.shutdownTimeout, "shutdown-timeout", 8*time.Second, "longest `time` that a shutdown waits for requests in flight")
	f.StringVar(&c.file, "config", "", "YAML `file` with any of these names as keys")
}

// validate finds what the parsing of single values cannot see.
func (c *config) validate() error {
	for _, e := range []struct{ name, value, a, b string }{
		{"durability", c.durability, "durable", "relaxed"},
		{"log-format", c.logFormat, "text", "json"},
	} {
		if e.value != e.a && e.value != e.b {
			return usageErrorf("--%s is %q; use %s or %s", e.name, e.value, e.a, e.b)
		}
	}
	if _, err := parseLevel(c.logLevel); err != nil {
		return err
	}
	if c.dataDir == "" {
		return usageErrorf("--data-dir is empty; name a directory")
	}
	if err := cmp.Or(c.checkListen(), c.exposure.validate()); err != nil {
		return err
	}
	for name, n := range map[string]int64{
		"max-body-bytes": int64(c.maxBodyBytes), "max-in-flight-body-bytes": int64(c.maxInFlightBodyBytes), "max-in-flight-answer-bytes": int64(c.maxInFlightAnswerBytes), "max-batch-events": int64(c.maxBatchEvents),
		"max-connections": int64(c.maxConnections), "max-in-flight-bytes": int64(c.maxInFlightBytes),
		"max-active-topics": int64(c.maxActiveTopics), "seen-cache-entries": c.seenCacheEntries, "request-timeout": int64(c.requestTimeout),
		"read-timeout": int64(c.readTimeout), "write-timeout": int64(c.writeTimeout), "idle-timeout": int64(c.idleTimeout),
		"topic-idle-timeout": int64(c.topicIdleTimeout), "shutdown-timeout": int64(c.shutdownTimeout),
	} {
		if n <= 0 {
			return usageErrorf("--%s must be greater than 0", name)
		}
	}
	return c.checkLimits()
}

// checkLimits holds the limits against each other: a batch that fits the limits
// of a request must be able to enter an idle server.
func (c *config) checkLimits() error {
	if c.maxTopicInFlightEvents < c.maxBatchEvents || c.maxInFlightEvents < c.maxTopicInFlightEvents {
		return usageErrorf("--max-batch-events (%d) must not exceed --max-topic-in-flight-events (%d), nor that --max-in-flight-events (%d)",
			c.maxBatchEvents, c.maxTopicInFlightEvents, c.maxInFlightEvents)
	}
	if c.maxKeyInFlightEvents < c.maxBatchEvents {
		return usageErrorf("--max-batch-events (%d) must not exceed --max-key-in-flight-events (%d)", c.maxBatchEvents, c.maxKeyInFlightEvents)
	}
	if c.maxKeyInFlightBytes < c.maxBodyBytes {
		return usageErrorf("--max-body-bytes (%s) must not exceed --max-key-in-flight-bytes (%s)", &c.maxBodyBytes, &c.maxKeyInFlightBytes)
	}
	if c.maxInFlightBodyBytes < 2*c.maxBodyBytes { // one body, and what it decompresses to
		return usageErrorf("--max-in-flight-body-bytes (%s) must be at least twice --max-body-bytes (%s)", &c.maxInFlightBodyBytes, &c.maxBodyBytes)
	}
	if c.maxInFlightAnswerBytes < 4*c.maxBodyBytes { // the largest event, in a page with others
		return usageErrorf("--max-in-flight-answer-bytes (%s) must be at least four times --max-body-bytes (%s)", &c.maxInFlightAnswerBytes, &c.maxBodyBytes)
	}
	if least := byteSize(max(1<<20, 64*c.maxBatchEvents)); c.maxInFlightAnswerBytes < least { // a page of a stream, or the answer to a batch
		return usageErrorf("--max-in-flight-answer-bytes (%s) must be at least %s, which one answer may take (1MiB, and 64 for each of --max-batch-events)", &c.maxInFlightAnswerBytes, &least)
	}
	largest := byteSize(int64(c.maxBodyBytes) + int64(c.maxBatchEvents)*sekali.EventOverheadBytes)
	if least := min(c.maxInFlightBytes, c.maxTopicInFlightBytes); least < largest {
		return usageErrorf("--max-in-flight-bytes and --max-topic-in-flight-bytes (%s) must be at least %s, which the largest batch takes (--max-body-bytes and %d for each of --max-batch-events)",
			&least, &largest, sekali.EventOverheadBytes)
	}
	return nil
}

// checkListen refuses to serve strangers unless that was asked for by name.
func (c *config) checkListen() error {
	host, port, err := net.SplitHostPort(c.listen)
	if err != nil {
		return usageErrorf("--listen %q: %w; write it like 127.0.0.1:8080", c.listen, err)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return usageErrorf("--listen %q: the port should be a number from 0 to 65535; write it like 127.0.0.1:8080", c.listen)
	}
	if isLoopback(host) || c.allowAnonymous {
		return nil
	}
	keys, err := keyfile.New(c.dataDir).Load()
	if err != nil {
		return exitWith(exitFailed, fmt.Errorf("read the keys: %w", err))
	}
	if len(keys.All()) > 0 {
		return nil
	}
	return usageErrorf("--listen %s is reachable from other machines, where anybody could publish and read: make a key first, which then every request needs\n"+
		"  sekali keys create --data-dir %s --name NAME --scope publish,read\nor listen on 127.0.0.1, or say --allow-anonymous", c.listen, c.dataDir)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

func (c *config) sqliteDurability() sqlite.Durability {
	if c.durability == sqlite.Relaxed.String() {
		return sqlite.Relaxed
	}
	return sqlite.Durable
}

// byteSize is a flag in bytes that takes units: 8388608, 8MiB, 8MB.
type byteSize int64

// String writes it in the largest binary unit that is exact.
func (b *byteSize) String() string {
	n := int64(*b)
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.size && n%u.size == 0 {
			return fmt.Sprintf("%d%s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%d", n)
}

// Set implements pflag.Value.
func (b *byteSize) Set(s string) error {
	n, err := humanize.ParseBytes(s)
	if err != nil || n > 1<<40 {
		return fmt.Errorf("%q is not a size of at most 1TiB; write it like 8MiB", s)
	}
	*b = byteSize(n)
	return nil
}

// Type implements pflag.Value.
func (b *byteSize) Type() string { return "size" }

// loadConfig completes c, whose flags were parsed and whose environment was
// applied, from the configuration file, and checks the whole.
func loadConfig(c *config, f *pflag.FlagSet) error {
	if c.file != "" {
		text, err := os.ReadFile(c.file)
		if err != nil {
			return usageErrorf("read the configuration: %w", err)
		}
		if err := applyYAML(f, c.file, text); err != nil {
			return err
		}
	}
	return c.validate()
}
