package openapitest

import (
	"bytes"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The media types whose bodies are held against their schema; of others only
// the type itself is compared. The schema of NDJSON describes one line.
const (
	mediaJSON   = "application/json"
	mediaNDJSON = "application/x-ndjson"
)

func (c *Checker) verifyBody(response node, contentType string, body []byte) error {
	content := response.get("content")
	if !content.exists() {
		if len(body) > 0 {
			return fmt.Errorf("the answer has a body, and none is described")
		}
		return nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("content type %q: %w", contentType, err)
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return fmt.Errorf("content type %q: not UTF-8", contentType)
	}
	described := content.get(media)
	if !described.exists() {
		return fmt.Errorf("content type %q is not described; those are: %v", contentType, slices.Sorted(maps.Keys(content.value.(map[string]any))))
	}
	switch media {
	case mediaJSON:
		return c.verifyJSON(described.get("schema"), body)
	case mediaNDJSON:
		return c.verifyLines(described.get("schema"), body)
	}
	if len(body) == 0 {
		return fmt.Errorf("the body is empty")
	}
	return nil
}

func (c *Checker) verifyJSON(schema node, body []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	return c.schemas.validate(schema, value)
}

func (c *Checker) verifyLines(schema node, body []byte) error {
	if len(body) > 0 && body[len(body)-1] != '\n' {
		return fmt.Errorf("the last line does not end")
	}
	number := 0
	for line := range bytes.Lines(body) {
		number++
		if err := c.verifyJSON(schema, line); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
	return nil
}
