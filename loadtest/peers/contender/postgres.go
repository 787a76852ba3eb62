package contender

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"sekali/loadtest/peers/events"
	"sekali/loadtest/peers/measure"
)

// postgresSettings differ from the defaults. They favour PostgreSQL: a cache
// for all of the run and no checkpoint forced by the size of its log.
var postgresSettings = []string{"shared_buffers=1GB", "max_wal_size=8GB", "fsync=on", "synchronous_commit=on", "full_page_writes=on"}

func postgresKinds() []Kind {
	kind := func(name, label string, connections, size int) Kind {
		return Kind{
			Name: name, Family: "postgres", Label: "PostgreSQL, " + label,
			Connections: connections, RequestEvents: size,
			Settings: append(slices.Clone(postgresSettings),
				"primary key (topic, event_id)", "insert ... select from unnest ... on conflict do nothing", "prepared statement, one a transaction"),
			start: func(_ Environment, k Kind) Peer { return &postgres{kind: k} },
		}
	}
	return []Kind{
		kind("postgres-100", "batches of 100", 16, 100),
		kind("postgres-5000", "batches of 5,000", 1, 5000),
	}
}

// postgres is a cluster of its own.
type postgres struct {
	*child

	kind Kind
	pool *pgxpool.Pool
}

// Start makes the cluster and the table when they are not there.
func (s *postgres) Start(ctx context.Context, dir string) error {
	programs, err := postgresPrograms()
	if err != nil {
		return err
	}
	owner, err := postgresOwner(dir)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if _, err := os.Stat(data); errors.Is(err, os.ErrNotExist) {
		if err := initCluster(ctx, programs, owner, dir, data); err != nil {
			return err
		}
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(address)
	args := []string{"-D", data, "-h", "127.0.0.1", "-p", port, "-c", "unix_socket_directories="}
	for _, setting := range postgresSettings {
		args = append(args, "-c", setting)
	}
	if s.child, err = startChild(owner, dir, filepath.Join(programs, "postgres"), args...); err != nil {
		return err
	}
	url := fmt.Sprintf("postgres://sekali@%s/postgres?sslmode=disable&pool_max_conns=%d", address, s.kind.Connections)
	if s.pool, err = pgxpool.New(ctx, url); err != nil {
		return err
	}
	return s.awaitReady(ctx, s.createTable)
}

func initCluster(ctx context.Context, programs string, owner *syscall.Credential, dir, data string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "initdb"),
		"-D", data, "-U", "sekali", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// postgresPrograms finds the newest server that Debian has installed.
func postgresPrograms() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.Join(errors.New("PostgreSQL is not installed"), err)
	}
	slices.SortFunc(found, func(a, b string) int { return cmp.Compare(majorVersion(a), majorVersion(b)) })
	return filepath.Dir(found[len(found)-1]), nil
}

func majorVersion(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb)))) // A name that is no number comes first.
	return n
}

// postgresOwner returns whom the server runs as, and gives that user the
// directory: PostgreSQL refuses to run as root. nil is who we are.
func postgresOwner(dir string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, uidErr := strconv.Atoi(account.Uid)
	gid, gidErr := strconv.Atoi(account.Gid)
	if err := errors.Join(uidErr, gidErr, os.Chown(dir, uid, gid)); err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

const postgresTable = `create table if not exists events (
	topic text, event_id text, source text not null, timestamp text not null, payload json not null,
	primary key (topic, event_id))`

func (s *postgres) createTable(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, postgresTable)
	return err
}

// Version asks the server.
func (s *postgres) Version(ctx context.Context) (version string, err error) {
	err = s.pool.QueryRow(ctx, "show server_version").Scan(&version)
	version, _, _ = strings.Cut(version, " ")
	return version, err
}

// Process is the postmaster.
func (s *postgres) Process() int { return s.pid() }

const postgresInsert = `insert into events (topic, event_id, source, timestamp, payload)
	select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::json[]) on conflict do nothing`

// Load inserts batches over several connections.
func (s *postgres) Load(ctx context.Context, feed *Feed, recorder *measure.Recorder) error {
	senders := make([]send, s.kind.Connections)
	for i := range senders {
		conn, err := s.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		defer conn.Release()
		w := postgresWriter{conn: conn.Conn()}
		senders[i] = w.insert
	}
	return drive(ctx, feed, recorder, senders)
}

// postgresWriter inserts over one connection. It uses its memory again.
type postgresWriter struct {
	conn                                       *pgx.Conn
	topics, ids, sources, timestamps, payloads []string
}

// insert sends the events in the order of their keys: two transactions that
// insert the same two ids in different orders would wait for each other.
func (w *postgresWriter) insert(ctx context.Context, b *events.Batch) (stored, duplicates int, err error) {
	slices.SortFunc(b.Events, func(a, b events.Event) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), strings.Compare(a.ID, b.ID))
	})
	w.topics, w.ids, w.sources = w.topics[:0], w.ids[:0], w.sources[:0]
	w.timestamps, w.payloads = w.timestamps[:0], w.payloads[:0]
	for i := range b.Events {
		e := &b.Events[i]
		w.topics, w.ids, w.sources = append(w.topics, e.Topic), append(w.ids, e.ID), append(w.sources, e.Source)
		w.timestamps, w.payloads = append(w.timestamps, e.Timestamp), append(w.payloads, e.Payload)
	}
	tag, err := w.conn.Exec(ctx, postgresInsert, w.topics, w.ids, w.sources, w.timestamps, w.payloads)
	stored = int(tag.RowsAffected())
	return stored, len(b.Events) - stored, err
}

func (s *postgres) close() {
	if s.pool != nil {
		s.pool.Close()
		s.pool = nil
	}
}

// Crash is kill -9 for the postmaster and all of its children.
func (s *postgres) Crash() error {
	s.close()
	return s.crash()
}

// Stop is PostgreSQL's fast shutdown.
func (s *postgres) Stop() error {
	s.close()
	return s.stop(syscall.SIGINT)
}

// Count counts the rows.
func (s *postgres) Count(ctx context.Context) (n int64, err error) {
	err = s.pool.QueryRow(ctx, "select count(*) from events").Scan(&n)
	return n, err
}

// Each reads the table.
func (s *postgres) Each(ctx context.Context, visit func(events.Event) error) error {
	rows, err := s.pool.Query(ctx, "select topic, event_id, source, timestamp, payload::text from events")
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := eachRow(rows, visit); err != nil {
		return err
	}
	return rows.Err()
}
