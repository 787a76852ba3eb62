package main

import (
	"io"
	"log/slog"

	"sekali/access"
)

func parseLevel(s string) (level slog.Level, err error) {
	if err := level.UnmarshalText([]byte(s)); err != nil {
		return level, usageErrorf("--log-level is %q; use debug, info, warn or error", s)
	}
	return level, nil
}

func newLogger(c *config, w io.Writer) (*slog.Logger, error) {
	level, err := parseLevel(c.logLevel)
	if err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: redact}
	if c.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return slog.New(slog.NewTextHandler(w, options)), nil
}

// redact keeps keys out of the log wherever a sender has put one: in a path, a
// method, a header that makes no sense.
func redact(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		if text := a.Value.String(); access.MayHoldToken(text) {
			a.Value = slog.StringValue(access.Redact(text))
		}
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok && access.MayHoldToken(err.Error()) {
			a.Value = slog.StringValue(access.Redact(err.Error()))
		}
	}
	return a
}
