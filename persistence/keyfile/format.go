package keyfile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sekali/access"
)

// formatVersion is that of the file; another one is refused.
const formatVersion = 1

// document is the file. The checksum is over the compact text of the keys: what
// a disk or an editor has changed does not open or close anything unseen.
type document struct {
	Version int            `json:"sekali_keys"`
	SHA256  string         `json:"sha256"`
	Keys    jsontext.Value `json:"keys"`
}

// record is a key in the file.
type record struct {
	access.Key
	Hash string `json:"token_sha256"`
}

// strictly refuses what this version does not know: writing the file again
// would drop it.
var strictly = json.RejectUnknownMembers(true)

var errDamaged = errors.New("it is damaged, or was changed by something else than sekali; restore it from a backup")

func encode(keys *access.Keys) ([]byte, error) {
	records := make([]record, len(keys.All()))
	for i, k := range keys.All() {
		records[i] = record{k, hex.EncodeToString(k.Hash[:])}
	}
	list, err := json.Marshal(records)
	if err != nil {
		return nil, fmt.Errorf("encode the keys: %w", err)
	}
	text, err := json.Marshal(document{formatVersion, checksum(list), list}, jsontext.Multiline(true))
	if err != nil {
		return nil, fmt.Errorf("encode the keys: %w", err)
	}
	return append(text, '\n'), nil
}

func decode(text []byte) (*access.Keys, error) {
	var d document
	if err := json.Unmarshal(text, &d, strictly); err != nil {
		return nil, errDamaged
	}
	if d.Version != formatVersion {
		return nil, fmt.Errorf("it has version %d, this sekali knows version %d; use the release that wrote it", d.Version, formatVersion)
	}
	if err := d.Keys.Compact(); err != nil || checksum(d.Keys) != d.SHA256 {
		return nil, errDamaged
	}
	var records []record
	if err := json.Unmarshal(d.Keys, &records, strictly); err != nil {
		return nil, errDamaged
	}
	list := make([]access.Key, len(records))
	for i, r := range records {
		list[i] = r.Key
		if n, err := hex.Decode(list[i].Hash[:], []byte(r.Hash)); err != nil || n != len(list[i].Hash) {
			return nil, errDamaged
		}
	}
	keys, err := access.NewKeys(list)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", errDamaged, err)
	}
	return &keys, nil
}

func checksum(list []byte) string {
	sum := sha256.Sum256(list)
	return hex.EncodeToString(sum[:])
}
