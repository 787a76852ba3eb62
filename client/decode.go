package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Answers are walked token by token: strict JSON, exact names, and a tenth of
// the allocations of decoding into structs. Unknown members are skipped, since
// a newer server may send more.

func newDecoder(body *bytes.Buffer) *jsontext.Decoder { return jsontext.NewDecoder(body) }

// decodeDocument runs decode on the body, which must be a single JSON value.
func decodeDocument(body *bytes.Buffer, decode func(*jsontext.Decoder) error) error {
	d := newDecoder(body)
	if err := decode(d); err != nil {
		return err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// decodeObject calls member for each name of the object that comes next; member
// must read the value. The name is valid until then.
func decodeObject(d *jsontext.Decoder, member func(name []byte) error) error {
	if err := expect(d, '{'); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		raw, err := d.ReadValue()
		if err != nil {
			return err
		}
		if err := member(unquoteName(raw)); err != nil {
			return err
		}
	}
	return expect(d, '}')
}

func decodeArray(d *jsontext.Decoder, element func() error) error {
	if err := expect(d, '['); err != nil {
		return err
	}
	for d.PeekKind() != ']' {
		if err := element(); err != nil {
			return err
		}
	}
	return expect(d, ']')
}

func expect(d *jsontext.Decoder, kind jsontext.Kind) error {
	tok, err := d.ReadToken()
	if err != nil {
		return err
	}
	return checkKind(tok, kind)
}

func checkKind(tok jsontext.Token, kind jsontext.Kind) error {
	if tok.Kind() != kind {
		return fmt.Errorf("found %s where %s belongs", tok.Kind(), kind)
	}
	return nil
}

// unquoteName avoids a copy for the names without escapes, which are all that
// Sekali sends.
func unquoteName(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	name, _ := jsontext.AppendUnquote(nil, raw) // The decoder has checked raw.
	return name
}

func readString(d *jsontext.Decoder) (string, error) {
	tok, err := d.ReadToken()
	if err != nil {
		return "", err
	}
	return tok.String(), checkKind(tok, '"')
}

func readInt(d *jsontext.Decoder) (int64, error) {
	tok, err := d.ReadToken()
	if err != nil {
		return 0, err
	}
	if err := checkKind(tok, '0'); err != nil {
		return 0, err
	}
	return tok.Int()
}

func readFloat(d *jsontext.Decoder) (float64, error) {
	tok, err := d.ReadToken()
	if err != nil {
		return 0, err
	}
	if err := checkKind(tok, '0'); err != nil {
		return 0, err
	}
	return tok.Float()
}

func readBool(d *jsontext.Decoder) (bool, error) {
	tok, err := d.ReadToken()
	if err != nil {
		return false, err
	}
	if tok.Kind() == 't' {
		return true, nil
	}
	return false, checkKind(tok, 'f')
}

// readTime reads an RFC 3339 time; null is the zero time.
func readTime(d *jsontext.Decoder) (time.Time, error) {
	if d.PeekKind() == 'n' {
		return time.Time{}, d.SkipValue()
	}
	s, err := readString(d)
	if err != nil {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339Nano, s)
}
