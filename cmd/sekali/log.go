package main

import (
	"io"
	"log/slog"
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
	options := &slog.HandlerOptions{Level: level}
	if c.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return slog.New(slog.NewTextHandler(w, options)), nil
}
