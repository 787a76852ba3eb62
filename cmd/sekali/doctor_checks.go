package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"sekali/client"
	"sekali/persistence/keyfile"
	"sekali/persistence/sqlite"
)

// What doctor calls little room: a server goes on with less, until it answers
// 507 storage_full.
const (
	leastFreeBytes = 64 << 20
	littleFree     = 0.1
	muchFree       = 5 << 30 // bytes from which a tenth is not little
	leastFreeFiles = 1000
	largeLog       = 160 << 20 // a server cuts its log at 128 MiB
	soonExpired    = 14 * 24 * time.Hour
)

// checkConfig reads the configuration as 'sekali serve' does.
func (d *diagnosis) checkConfig(c *config, flags *pflag.FlagSet) {
	if err := loadConfig(c, flags); err != nil {
		d.fail("configuration", "correct it; 'sekali check-config' shows what is in force", "%s", err)
		return
	}
	if c.durability != sqlite.Durable.String() {
		d.warn("configuration", "leave --durability out unless losing answered events is acceptable", "a loss of power may take the last answered events (--durability %s)", c.durability)
		return
	}
	d.ok("configuration", "listen on %s, data in %s", c.listen, c.dataDir)
}

// checkDirectory looks at the data directory and reports whether a process uses it.
func (d *diagnosis) checkDirectory(dir string) (inUse bool) {
	i, err := sqlite.Inspect(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.warn("directory", "check --data-dir; 'sekali serve' creates it and begins an empty store", "%s does not exist", dir)
		return false
	case errors.Is(err, fs.ErrPermission):
		d.fail("directory", "run this as the user of the server, or give the directory to this user", "%s", err)
		return false
	case err != nil:
		d.fail("directory", "check --data-dir and the disk (dmesg)", "%s", err)
		return false
	}
	d.checkUse(i)
	d.checkPermissions(i)
	d.checkKeys(i)
	d.checkDisk(i)
	d.checkDatabase(i)
	d.checkLog(i)
	d.checkIndex(i)
	d.checkNames(i)
	return i.InUse
}

func (d *diagnosis) checkUse(i *sqlite.Inspection) {
	switch {
	case i.Backup:
		d.fail("use", "make a data directory of it with 'sekali restore'", "%s is a backup, which no server takes", i.Dir)
	case i.Restoring:
		d.fail("use", "run 'sekali restore' again", "a restore did not come to its end")
	case i.InUse:
		d.ok("use", "in use by %s", i.Holder)
	default:
		d.ok("use", "no server uses it")
	}
}

func (d *diagnosis) checkPermissions(i *sqlite.Inspection) {
	switch {
	case !i.Writable:
		d.fail("permissions", "run this as the user of the server, or give the directory to this user", "this user may not write in %s", i.Dir)
	case i.Mode&0o077 != 0:
		d.warn("permissions", "chmod 700 "+i.Dir, "other users may look into %s (mode %04o)", i.Dir, i.Mode)
	default:
		d.ok("permissions", "%s, mode %04o", i.Dir, i.Mode)
	}
}

// checkKeys reads the keys as a server does, which starts with none that it
// cannot read.
func (d *diagnosis) checkKeys(i *sqlite.Inspection) {
	keys, err := keyfile.New(i.Dir).Load()
	switch {
	case err != nil:
		d.fail("keys", "put the file in order, or restore it from a backup: no server starts on it", "%s", err)
	case i.HasKeys && i.KeysMode&0o070 != 0:
		d.warn("keys", "chmod 600 "+filepath.Join(i.Dir, keyfile.Name), "the group of keys.json may read or change it (mode %04o)", i.KeysMode)
	case i.HasKeys:
		d.ok("keys", "%s in keys.json, revoked and expired ones included", number(int64(len(keys.All())), "key"))
	default:
		d.ok("keys", "none")
	}
}

func (d *diagnosis) checkDisk(i *sqlite.Inspection) {
	switch {
	case i.FileSystemRefused != "":
		d.fail("file system", "move the directory to a local ext4 or xfs", "%s: %s", i.FileSystem, i.FileSystemRefused)
	case i.FileSystemWarning != "":
		d.warn("file system", "use a local ext4 or xfs for data that is to be kept", "%s: %s", i.FileSystem, i.FileSystemWarning)
	default:
		d.ok("file system", "nothing speaks against it")
	}
	free, share := int64(i.FreeBytes), float64(i.FreeBytes)/max(1, float64(i.TotalBytes))
	switch {
	case free < leastFreeBytes:
		d.fail("free space", "free space: the server answers 507 storage_full when there is none, and goes on by itself afterwards", "%s", bytesText(free))
	case share < littleFree && free < muchFree:
		d.warn("free space", "free space, or move the directory to a larger disk", "%s, %.0f %% of the disk", bytesText(free), 100*share)
	case i.TotalFiles > 0 && i.FreeFiles < leastFreeFiles:
		d.warn("free space", "remove small files on this file system: there is room for bytes, and hardly for files", "%s left", number(int64(i.FreeFiles), "file"))
	default:
		d.ok("free space", "%s, %.0f %% of the disk", bytesText(free), 100*share)
	}
}

func (d *diagnosis) checkDatabase(i *sqlite.Inspection) {
	switch {
	case !i.HasDatabase && i.LogBytes > 0:
		d.fail("database", "put sekali.db back beside its log, or restore a backup", "sekali.db is missing, its log is there")
	case !i.HasDatabase:
		d.ok("database", "none yet")
	case i.DatabaseFault != "":
		d.fail("database", "restore a backup with 'sekali restore'", "%s", i.DatabaseFault)
	default:
		d.ok("database", "%s", bytesText(i.DatabaseBytes))
	}
}

func (d *diagnosis) checkLog(i *sqlite.Inspection) {
	switch {
	case i.Loss != nil:
		d.fail("log", "keep a copy of the directory and restore a backup; 'sekali serve' says how to go on without what is missing", "%s", i.Loss)
	case i.LogBytes > largeLog && i.InUse:
		d.warn("log", "find the program that keeps sekali.db open (lsof) and end it", "%s: a reader keeps it from shrinking", bytesText(i.LogBytes))
	case i.Log != nil && i.LogBytes > 0:
		d.ok("log", "%s with %s: the server was not stopped, its next start reads them", bytesText(i.LogBytes), number(i.Log.Commits, "transaction"))
	default:
		d.ok("log", "%s", bytesText(i.LogBytes))
	}
	if i.Log == nil || !i.HasDatabase {
		return
	}
	switch m := i.Log.Mark; {
	case m == nil:
		d.warn("mark", "start the server once, which writes it", "there is no sekali.mark: a log that was cut off would not be noticed")
	case m.At.After(time.Now().Add(time.Minute)):
		d.warn("clock", "set the clock of this machine: processed_at of new events lies before that of old ones", "the last transaction was at %s, it is %s", m.At.Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339))
	default:
		d.ok("mark", "transaction %s with event %s", countText(m.Batch), countText(m.Seq))
	}
}

func (d *diagnosis) checkIndex(i *sqlite.Inspection) {
	if len(i.IndexFaults) == 0 {
		d.ok("index", "%s", number(int64(i.IndexFiles), "file"))
		return
	}
	d.warn("index", "nothing: the next start rebuilds them from the events, which takes some seconds a million", "damaged: %s", strings.Join(i.IndexFaults, "; "))
}

func (d *diagnosis) checkNames(i *sqlite.Inspection) {
	if len(i.Foreign) == 0 {
		d.ok("files", "all are Sekali's")
		return
	}
	const most = 5
	names := strings.Join(i.Foreign[:min(most, len(i.Foreign))], ", ")
	d.warn("files", "move them away: a data directory is for Sekali alone", "%s not Sekali's: %s", number(int64(len(i.Foreign)), "file"), names)
}

// checkDescriptors compares what the process may open with what the
// configuration lets it.
func (d *diagnosis) checkDescriptors(c *config) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		d.warn("descriptors", "", "the limit cannot be asked for: %s", err)
		return
	}
	// Go raises the soft limit to the hard one when it starts.
	const own = 200 // of the store: connections, index files
	if need := uint64(max(0, c.maxConnections)) + own; limit.Max < need {
		d.warn("descriptors", "raise the limit (LimitNOFILE= of systemd, ulimit -Hn), or lower --max-connections",
			"%d are allowed, --max-connections and the store may need %d", limit.Max, need)
		return
	}
	d.ok("descriptors", "%d", limit.Max)
}

// checkCertificate looks at the pair of --tls-cert and --tls-key.
func (d *diagnosis) checkCertificate(c *config) {
	if c.tlsCert == "" || c.tlsKey == "" {
		return // the configuration said so when only one is there
	}
	pair, err := tls.LoadX509KeyPair(c.tlsCert, c.tlsKey)
	if err != nil {
		d.fail("certificate", "give --tls-cert the chain and --tls-key its key, as PEM", "%s", err)
		return
	}
	leaf, now := pair.Leaf, time.Now()
	switch until := leaf.NotAfter.Format(time.RFC3339); {
	case now.After(leaf.NotAfter) || now.Before(leaf.NotBefore):
		d.fail("certificate", "replace the files: the server takes them over by itself; check the clock of this machine, too", "it is valid from %s to %s", leaf.NotBefore.Format(time.RFC3339), until)
	case leaf.NotAfter.Sub(now) < soonExpired:
		d.warn("certificate", "replace the files: the server takes them over by itself", "it is valid until %s only", until)
	default:
		d.ok("certificate", "valid until %s", until)
	}
	if info, err := os.Stat(c.tlsKey); err == nil && info.Mode().Perm()&0o044 != 0 {
		d.warn("certificate", "chmod 600 "+c.tlsKey, "other users may read the private key (mode %04o)", info.Mode().Perm())
	}
}

// serverToAsk is the server that doctor asks.
type serverToAsk struct {
	url     string // "" for the one that uses the directory
	ca      string // file of an authority of one's own, for url
	timeout time.Duration
}

// checkServer asks the server at the URL, or the one that uses the directory.
func (d *diagnosis) checkServer(ctx context.Context, c *config, ask serverToAsk, inUse bool) {
	if ask.url == "" && !inUse {
		d.ok("server", "none runs here")
		return
	}
	options := client.Options{MaxAttempts: 1}
	var err error
	url := ask.url
	if url != "" {
		options.RootCAs, err = readRoots(ask.ca)
	} else {
		options.HTTPClient = ownServerClient()
		url, err = localURL(c.listen, c.tlsCert != "")
	}
	if err != nil {
		d.fail("server", "correct --url, --ca or --listen", "%s", err)
		return
	}
	server, err := client.New(url, options)
	if err != nil {
		d.fail("server", "correct --url", "%s", err)
		return
	}
	defer server.Close()
	ctx, cancel := context.WithTimeout(ctx, ask.timeout)
	defer cancel()
	health, err := server.Health(ctx)
	switch {
	case err != nil && ask.url == "":
		d.warn("server", "give --url, or the --listen of the running server", "the directory is in use, and nobody answers at %s: %s", url, err)
	case err != nil:
		d.fail("server", "look at its log", "%s does not answer: %s", url, err)
	default:
		d.checkReady(ctx, server, url, health)
	}
}

func (d *diagnosis) checkReady(ctx context.Context, server *client.Client, url string, health client.Health) {
	if err := server.Ready(ctx); err != nil {
		d.fail("server", "look at its log; after a failed disk it ends by itself and has to be started again", "%s is alive and takes no events: %s", url, err)
		return
	}
	if health.Version == "" { // a server with keys tells strangers no more
		d.ok("server", "%s takes events", url)
		return
	}
	d.ok("server", "%s takes events, version %s, up for %s", url, health.Version, health.Uptime.Round(time.Second))
}
