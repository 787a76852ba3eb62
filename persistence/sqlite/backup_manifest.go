package sqlite

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	manifestFile   = "BACKUP.json"
	manifestFormat = 1
	logFile        = databaseFile + "-wal"

	// keysFile holds the API keys of a data directory. In a backup its name
	// says which content it has, so that a new one does not replace that of
	// the manifest in force.
	keysFile       = "keys.json"
	keysCopyPrefix = "keys-"
)

// Manifest says what a backup holds. It is replaced last and at once: what it
// does not list does not belong to the backup.
type Manifest struct {
	Format  int    `json:"format"`
	Product string `json:"product"`
	Version string `json:"version"` // of the sekali that wrote it
	Schema  int    `json:"schema"`
	// Store tells the data directory from others, wherever it is moved.
	Store   string    `json:"store"`
	Created time.Time `json:"created"` // when the first backup in this directory began
	Updated time.Time `json:"updated"` // when the newest one began: what was acknowledged before is in it

	Events        int64   `json:"events"`
	LastSeq       int64   `json:"last_seq"`
	LastBatch     int64   `json:"last_batch"`
	LastDuplicate int64   `json:"last_duplicate"` // row of the duplicates table
	Topics        int64   `json:"topics"`
	Duplicates    int64   `json:"duplicates"`
	Conflicts     int64   `json:"conflicts"`
	Content       Content `json:"content"`

	Files []ManifestFile `json:"files"`
}

// ManifestFile is a file of a backup.
type ManifestFile struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// file returns the entry of a file, or nil.
func (m *Manifest) file(name string) *ManifestFile {
	for i := range m.Files {
		if m.Files[i].Name == name {
			return &m.Files[i]
		}
	}
	return nil
}

// keys returns the name of the copy of the API keys, or "".
func (m *Manifest) keys() string {
	for _, f := range m.Files {
		if strings.HasPrefix(f.Name, keysCopyPrefix) {
			return f.Name
		}
	}
	return ""
}

// readManifest reads the manifest of a backup; fs.ErrNotExist when dir is none.
func readManifest(dir string) (*Manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	m := &Manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", manifestFile, err)
	}
	if m.Product != "sekali" || m.Format != manifestFormat || m.Schema != schemaVersion {
		return nil, fmt.Errorf("%s is one of %q, format %d, schema %d; this sekali knows sekali, format %d, schema %d: use the release that wrote it",
			manifestFile, m.Product, m.Format, m.Schema, manifestFormat, schemaVersion)
	}
	for _, f := range m.Files {
		if f.Name != filepath.Base(f.Name) || strings.HasPrefix(f.Name, ".") {
			return nil, fmt.Errorf("%s names a file %q that a backup does not have", manifestFile, f.Name)
		}
	}
	return m, nil
}

// write makes the manifest the one in force, durably.
func (m *Manifest) write(dir string) error {
	text, err := json.Marshal(m, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	return writeFileDurably(filepath.Join(dir, manifestFile), append(text, '\n'))
}

// writeFileDurably replaces a file as a whole; it is on the disk when it returns.
func writeFileDurably(path string, text []byte) (err error) {
	temporary := path + ".tmp"
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return realDisk{}.SyncDir(filepath.Dir(path))
}

// describe reads a file for the manifest. A file that is not there is nil.
func describe(dir, name string) (*ManifestFile, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing is what it is
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return &ManifestFile{Name: name, Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// checkBackup holds a backup against its manifest, once everything else was read.
func (v *verifier) checkBackup(m *Manifest) error {
	r := v.report
	for _, want := range m.Files {
		got, err := describe(v.dir, want.Name)
		switch {
		case err != nil:
			return err
		case want.Name == logFile && (got == nil || got.Bytes == 0):
			// It was moved into the database, whose rows say whether it was all.
		case got == nil:
			v.find(FindingBackup, "%s is missing", want.Name)
		case *got != want:
			v.find(FindingBackup, "%s is not what was written: it has %d bytes with the SHA-256 %s, should be %d with %s",
				want.Name, got.Bytes, got.SHA256, want.Bytes, want.SHA256)
		}
	}
	if r.Content != m.Content {
		v.find(FindingBackup, "the rows sum up to %v, the manifest says %v", r.Content, m.Content)
	}
	if r.Events != m.Events || r.LastSeq != m.LastSeq || r.LastBatch != m.LastBatch || r.Topics != m.Topics || r.Duplicates != m.Duplicates || r.Conflicts != m.Conflicts {
		v.find(FindingBackup, "it holds %d events up to seq %d and transaction %d, %d topics, %d repeats and %d conflicts; the manifest says %d, %d, %d, %d, %d and %d",
			r.Events, r.LastSeq, r.LastBatch, r.Topics, r.Duplicates, r.Conflicts, m.Events, m.LastSeq, m.LastBatch, m.Topics, m.Duplicates, m.Conflicts)
	}
	return nil
}
