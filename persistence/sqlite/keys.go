package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/dchest/siphash"

	"sekali"
)

// idKeys makes the dedup keys: SipHash-2-4 of topic and id under a secret of
// the data directory, so that no sender can aim collisions at the index. Equal
// keys mean nothing until the rows have been compared.
type idKeys struct{ k0, k1 uint64 }

const secretBytes = 16

func newSecret() string {
	var secret [secretBytes]byte
	_, _ = rand.Read(secret[:]) // never fails, as its documentation says
	return hex.EncodeToString(secret[:])
}

// readKeys reads the secret of a database.
func readKeys(ctx context.Context, db *sql.DB) (idKeys, error) {
	var text string
	if err := db.QueryRowContext(ctx, "select value from meta where key = 'index_secret'").Scan(&text); err != nil {
		return idKeys{}, fmt.Errorf("read the secret of the index: %w", err)
	}
	secret, err := hex.DecodeString(text)
	if err != nil || len(secret) != secretBytes {
		return idKeys{}, fmt.Errorf("the secret of the index in %s is damaged", databaseFile)
	}
	return idKeys{binary.LittleEndian.Uint64(secret), binary.LittleEndian.Uint64(secret[8:])}, nil
}

// of returns the key of an id within a topic.
func (k idKeys) of(topic int64, id string) uint64 {
	var buffer [8 + sekali.MaxEventIDBytes]byte
	b := binary.LittleEndian.AppendUint64(buffer[:0], uint64(topic))
	return siphash.Hash(k.k0, k.k1, append(b, id...))
}

// stamp turns a checksum of a row into one that only this database has.
func (k idKeys) stamp(sum uint64) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], sum)
	return siphash.Hash(k.k0, k.k1, b[:])
}
