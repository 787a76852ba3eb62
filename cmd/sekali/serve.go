package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sekali/access"
	"sekali/actors"
	"sekali/httpserver"
	"sekali/internal/buildinfo"
	"sekali/persistence/keyfile"
	"sekali/persistence/sqlite"
)

func newServeCommand() *cobra.Command {
	c := &config{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server until SIGTERM or SIGINT: then it refuses new events, answers
those in flight and exits with 0. A second signal ends it at once, which loses
nothing that was answered. SIGHUP makes it look at the files of --tls-cert and
--tls-key at once; without TLS it ends the server.

Exit codes: 0 done, 1 failed, 2 wrong usage, 74 storage failure, 75 data
directory in use by another process.`,
		Args: cobra.NoArgs,
	}
	c.defineFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := loadConfig(c, cmd.Flags()); err != nil {
			return err
		}
		log, err := newLogger(c, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		n := &node{config: c, log: log}
		return n.run(cmd.Context(), func(url string) {
			if c.logFormat == "text" {
				_, _ = fmt.Fprint(cmd.OutOrStdout(), banner(c, url, n.keys.Required())) // a closed stdout must not stop the server
			}
		})
	}
	return cmd
}

// node is one running server: its parts in the order in which they start.
type node struct {
	config *config
	log    *slog.Logger

	keys     *access.Guard
	store    *sqlite.Store
	system   *actors.System
	http     *httpserver.Server
	listener net.Listener

	stopKeys        func()
	stopCertificate func() // nil without TLS
}

// run starts the parts, serves until a signal, the end of ctx or a failure of
// the storage, and stops the parts in reverse.
func (n *node) run(ctx context.Context, started func(url string)) error {
	// A log pipe whose reader has gone must not end the server: without this a
	// write to standard output or error does.
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)

	keepPrivate()
	if err := n.start(ctx); err != nil {
		return errors.Join(err, n.stop())
	}
	url, err := localURL(n.listener.Addr().String(), n.config.secure())
	if err != nil {
		return errors.Join(err, n.stop())
	}
	n.log.Info("serving", "url", url, "data_dir", n.config.dataDir, "durability", n.config.durability, "version", buildinfo.Version(), "pid", os.Getpid(),
		"keys_required", n.keys.Required())
	n.warn()
	started(url)
	served := make(chan error, 1)
	go func() { served <- n.http.Serve(n.listener) }()

	var failure error
	select {
	case <-ctx.Done():
	case s := <-signals:
		n.log.Info("shutting down", "signal", s.String(), "timeout", n.config.shutdownTimeout.String())
	case <-n.system.Failed():
		failure = errStorageFailed
	case <-n.store.Failed():
		failure = errStorageFailed
	case err := <-served:
		failure = exitWith(exitFailed, err)
	}
	go exitOnSecond(signals, n.log)
	if err := n.stop(); err != nil {
		n.log.Error("the shutdown was not clean", "error", err)
		failure = cmp.Or(failure, exitWith(exitFailed, err))
	}
	n.log.Info("stopped")
	return failure
}

// exitOnSecond ends the process when a second signal comes. Everything that
// was answered is on disk.
func exitOnSecond(signals <-chan os.Signal, log *slog.Logger) {
	if s, ok := <-signals; ok {
		log.Warn("stopping at once", "signal", s.String())
		os.Exit(exitFailed)
	}
}

func (n *node) start(ctx context.Context) (err error) {
	c := n.config
	if err := n.startKeys(); err != nil {
		return err
	}
	certificate, err := n.openCertificate()
	if err != nil {
		return err
	}
	if n.store, err = sqlite.Open(ctx, c.dataDir, sqlite.Options{
		Durability: c.sqliteDurability(), AllowFileSystem: c.allowFileSystem, AcceptLoss: c.acceptLoss,
		Logger: n.log.With("component", "sqlite"),
	}); err != nil {
		return openError(c.dataDir, err)
	}
	if n.system, err = actors.New(ctx, n.store, actors.Options{
		MaxInFlightEvents: c.maxInFlightEvents, MaxInFlightBytes: int64(c.maxInFlightBytes),
		MaxTopicInFlightEvents: c.maxTopicInFlightEvents, MaxTopicInFlightBytes: int64(c.maxTopicInFlightBytes), TopicIdleTimeout: c.topicIdleTimeout,
		MaxActiveTopics: c.maxActiveTopics, SeenCacheEntries: c.seenCacheEntries, Logger: n.log.With("component", "actors"),
	}); err != nil {
		return exitWith(exitStorage, fmt.Errorf("start the actors: %w", err))
	}
	n.http = httpserver.New(n.system, httpserver.Options{
		MaxBodyBytes: int(c.maxBodyBytes), MaxInFlightBodyBytes: int64(c.maxInFlightBodyBytes), MaxInFlightAnswerBytes: int64(c.maxInFlightAnswerBytes), MaxBatchEvents: c.maxBatchEvents, MaxConnections: c.maxConnections,
		RequestTimeout: c.requestTimeout, ReadTimeout: c.readTimeout, WriteTimeout: c.writeTimeout, IdleTimeout: c.idleTimeout,
		Durability: c.durability, Keys: n.keys, Logger: n.log.With("component", "http"),
		Certificate: certificate, AllowedHosts: c.allowedHosts, CORSOrigins: c.corsOrigins,
		Build: httpserver.Build{Version: buildinfo.Version(), Commit: buildinfo.Commit(), Date: buildinfo.Date(), Go: buildinfo.Go()},
	})
	if n.listener, err = net.Listen("tcp", c.listen); err != nil {
		return exitWith(exitFailed, fmt.Errorf("listen: %w; choose another --listen address", err))
	}
	return nil
}

// errStorageFailed ends the server when its store has.
var errStorageFailed = exitWith(exitStorage, errors.New("the storage failed; nothing after the last answer was stored, the log says why"))

// openError says what to do about a store that did not open, with the exit code.
func openError(dir string, err error) error {
	if inUse, ok := errors.AsType[*sqlite.InUseError](err); ok {
		return exitWith(exitInUse, fmt.Errorf("%w; stop it, or use another --data-dir", inUse))
	}
	if loss, ok := errors.AsType[*sqlite.LossError](err); ok {
		return exitWith(exitStorage, fmt.Errorf("%w. The disk, or who copied these files, lost them; nothing was changed. Restore a backup, "+
			"or go on without them with --accept-loss %s, which accepts this loss and no other", loss, loss.ID))
	}
	if f, ok := errors.AsType[*sqlite.FileSystemError](err); ok {
		return exitWith(exitStorage, fmt.Errorf("%w. Use a local file system like ext4 or xfs; --allow-file-system %s takes this one all the same", f, f.Name))
	}
	return exitWith(exitStorage, fmt.Errorf("open the store in %s: %w", dir, err))
}

// stop ends the parts that were started, last one first: no new events, then
// no new requests, then the actors, then the store. Most of the time is for the
// events in flight; what comes after them is quick and has a time of its own.
func (n *node) stop() (err error) {
	within := func(share time.Duration, step func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(context.Background(), share)
		defer cancel()
		return step(ctx)
	}
	timeout := n.config.shutdownTimeout
	if n.listener != nil {
		err = within(timeout*6/8, n.system.Drain)
		if err := within(timeout/8, n.http.Shutdown); err != nil {
			// They have not sent a whole request (browsers and load balancers
			// open some ahead) or do not read their answer. Nothing is lost.
			n.log.Warn("cutting connections that are in the middle of a request", "reason", err)
		}
	}
	if n.system != nil {
		if closing := within(timeout/8, n.system.Close); closing != nil {
			// The disk does not answer. The end of the process releases the
			// store; waiting for it might take for ever.
			return closing
		}
	}
	if n.store != nil {
		err = errors.Join(err, n.store.Close())
	}
	if n.stopKeys != nil {
		n.stopKeys()
	}
	if n.stopCertificate != nil {
		n.stopCertificate()
	}
	return err
}

// startKeys reads the keys and follows their changes. What cannot be read does
// not count as none: the server does not start.
func (n *node) startKeys() (err error) {
	c := n.config
	n.keys, err = access.NewGuard(keyfile.New(c.dataDir), access.Options{
		Limits: access.Limits{InFlightEvents: c.maxKeyInFlightEvents, InFlightBytes: int64(c.maxKeyInFlightBytes)},
		Logger: n.log.With("component", "keys"),
	})
	if err != nil {
		return exitWith(exitFailed, fmt.Errorf("read the keys: %w", err))
	}
	if !n.keys.Required() { // validate has looked; this is what is in force
		if err := c.checkListen(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		n.keys.Run(ctx)
		close(stopped)
	}()
	n.stopKeys = func() {
		cancel()
		select {
		case <-stopped:
		case <-time.After(time.Second): // a disk that does not answer must not hold up the end
		}
	}
	return nil
}

// warn says what an operator should know about this configuration.
func (n *node) warn() {
	if host, _, _ := net.SplitHostPort(n.config.listen); n.config.allowAnonymous && !isLoopback(host) && !n.keys.Required() {
		n.log.Warn("anyone who reaches this address may publish and read (--allow-anonymous)", "listen", n.config.listen)
	}
	n.warnOfReaders()
	if n.config.allowAnonymous && n.keys.Required() {
		n.log.Warn("there are keys, so every request needs one: --allow-anonymous lets nobody in")
	}
	if host, _, _ := net.SplitHostPort(n.config.listen); n.keys.Required() && !isLoopback(host) && !n.config.secure() {
		n.log.Warn("keys and events travel in plain text: whoever sees the network sees them; serve HTTPS (--tls-cert, --tls-key), or put a proxy in front that does", "listen", n.config.listen)
	}
	if n.config.durability == sqlite.Relaxed.String() {
		n.log.Warn("a loss of power may take the last answered events (--durability relaxed)")
	}
}

// banner says where the server is and what to try, with a key where it needs one.
func banner(c *config, url string, keyed bool) string {
	key := ""
	if keyed {
		key = ` -H "Authorization: Bearer $SEKALI_API_KEY"`
	}
	dir, err := filepath.Abs(c.dataDir)
	if err != nil {
		dir = c.dataDir
	}
	return fmt.Sprintf(`
  Sekali %s: every event stored and counted once

  Listening on  %s
  Data in       %s
  API page      %s/docs

  Try it:
    curl -X POST %s/publish%s -H 'Content-Type: application/json' \
      -d '{"topic":"user.created","event_id":"evt-001","timestamp":"2025-10-24T10:30:00Z","source":"user-service","payload":{"user_id":"123"}}'
    curl%s %s/stats

`, buildinfo.Version(), url, dir, url, url, key, key, url)
}

var (
	_ httpserver.Domain = (*actors.System)(nil)
	_ httpserver.Keys   = (*access.Guard)(nil)
)
