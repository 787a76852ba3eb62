package httpserver

import (
	"runtime"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"sekali"
	"sekali/webui"
)

// handleTopics answers GET /topics: a page of topics by name, with counts.
func (s *Server) handleTopics(ctx *fasthttp.RequestCtx, _ []string) error {
	q, err := parseTopicsQuery(ctx.QueryArgs())
	if err != nil {
		return err
	}
	wait, cancel := s.deadline()
	defer cancel()
	limit := q.Limit
	q.Limit++ // one more tells whether there is a next page
	topics, err := s.visibleTopics(wait, grantOf(ctx), q)
	if err != nil {
		return err
	}
	next := ""
	if len(topics) > limit {
		topics = topics[:limit]
		next = topics[limit-1].Topic
		announceNext(ctx, next)
	}
	b := []byte(`{"topics":[`)
	for i := range topics {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTopic(b, &topics[i])
	}
	b = append(b, ']')
	if next != "" {
		b = appendString(append(b, `,"next":`...), next)
	}
	return s.writeLarge(ctx, "application/json", append(b, "}\n"...))
}

func appendTopic(b []byte, t *sekali.TopicStats) []byte {
	b = appendString(append(b, `{"topic":`...), t.Topic)
	b = appendCounts(b, ",", t.Unique, t.Duplicates)
	b = strconv.AppendInt(append(b, `,"conflicts":`...), t.Conflicts, 10)
	b = appendTime(append(b, `,"first_seen":`...), t.FirstSeen)
	b = appendTime(append(b, `,"last_seen":`...), t.LastSeen)
	return append(b, '}')
}

func appendCounts(b []byte, before string, unique, duplicates int64) []byte {
	b = strconv.AppendInt(append(append(b, before...), `"received":`...), unique+duplicates, 10)
	b = strconv.AppendInt(append(b, `,"unique_processed":`...), unique, 10)
	return strconv.AppendInt(append(b, `,"duplicate_dropped":`...), duplicates, 10)
}

// handleStats answers GET /stats: the seeds' five fields first, then ours.
func (s *Server) handleStats(ctx *fasthttp.RequestCtx, _ []string) error {
	if grant := grantOf(ctx); grant != nil && grant.Key().Restricted() {
		return problem(sekali.CodeForbidden, "the counts are those of all topics, and the key "+grant.Key().Name+" is for some; GET /topics has the counts of these")
	}
	wait, cancel := s.deadline()
	defer cancel()
	stats, err := s.domain.Stats(wait)
	if err != nil {
		return err
	}
	b := appendCounts([]byte{'{'}, "", stats.Unique, stats.Duplicates)
	b = append(b, `,"topics":[`...)
	for i, t := range stats.Topics {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, t)
	}
	b = strconv.AppendFloat(append(b, `],"uptime_seconds":`...), time.Since(stats.StartedAt).Seconds(), 'f', 3, 64)
	b = strconv.AppendInt(append(b, `,"conflicts":`...), stats.Conflicts, 10)
	b = strconv.AppendInt(append(b, `,"topics_total":`...), stats.TopicsTotal, 10)
	b = strconv.AppendBool(append(b, `,"topics_truncated":`...), stats.TopicsTotal > int64(len(stats.Topics)))
	b = strconv.AppendInt(append(b, `,"in_flight":`...), int64(stats.InFlight), 10)
	b = strconv.AppendInt(append(b, `,"active_topics":`...), int64(stats.ActiveTopics), 10)
	b = appendString(append(b, `,"durability":`...), s.Durability)
	b = appendTime(append(b, `,"started_at":`...), stats.StartedAt)
	b = strconv.AppendInt(append(b, `,"goroutines":`...), int64(runtime.NumGoroutine()), 10)
	if s.Certificate != nil {
		b = appendTime(append(b, `,"certificate_expires_at":`...), s.Certificate.NotAfter().UTC())
	}
	return s.writeLarge(ctx, "application/json", append(b, "}\n"...))
}

// handleHealth answers GET /health: the process is alive. How old it is and of
// which version is not for strangers.
func (s *Server) handleHealth(ctx *fasthttp.RequestCtx, _ []string) error {
	wait, cancel := s.deadline()
	defer cancel()
	stats, err := s.domain.Stats(wait)
	if err != nil {
		return err
	}
	b := []byte(`{"status":"ok"`)
	if s.knows(ctx) {
		b = appendString(append(b, `,"version":`...), s.Build.Version)
		b = strconv.AppendFloat(append(b, `,"uptime_seconds":`...), time.Since(stats.StartedAt).Seconds(), 'f', 3, 64)
	}
	writeJSON(ctx, fasthttp.StatusOK, append(b, "}\n"...))
	return nil
}

// handleReady answers GET /readyz: whether events are taken.
func (s *Server) handleReady(ctx *fasthttp.RequestCtx, _ []string) error {
	if err := s.domain.Ready(); err != nil {
		return err
	}
	writeJSON(ctx, fasthttp.StatusOK, []byte("{\"status\":\"ready\"}\n"))
	return nil
}

func (s *Server) handleVersion(ctx *fasthttp.RequestCtx, _ []string) error {
	b := appendString([]byte(`{"version":`), s.Build.Version)
	b = appendString(append(b, `,"commit":`...), s.Build.Commit)
	b = appendString(append(b, `,"built":`...), s.Build.Date)
	b = appendString(append(b, `,"go":`...), s.Build.Go)
	writeJSON(ctx, fasthttp.StatusOK, append(b, "}\n"...))
	return nil
}

// handleRoot answers GET /: what this is and where to go.
func (s *Server) handleRoot(ctx *fasthttp.RequestCtx, _ []string) error {
	status := "ready"
	if err := s.domain.Ready(); err != nil {
		status = string(sekali.CodeOf(err))
	}
	b := []byte(`{"service":"sekali"`)
	if s.knows(ctx) {
		b = appendString(append(b, `,"version":`...), s.Build.Version)
	}
	b = appendString(append(b, `,"status":`...), status)
	b = append(b, `,"endpoints":[`...)
	first := true
	for _, r := range s.routes {
		if !r.listed {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendString(b, r.method+" "+r.pattern)
	}
	writeJSON(ctx, fasthttp.StatusOK, append(b, "]}\n"...))
	return nil
}

func (s *Server) handleOpenAPI(ctx *fasthttp.RequestCtx, _ []string) error {
	ctx.SetContentType("application/json")
	ctx.Response.SetBodyRaw(webui.OpenAPI()) // uncopied: anybody may ask, and read slowly
	return nil
}

// handleDocs serves the API page and its assets.
func (s *Server) handleDocs(ctx *fasthttp.RequestCtx, args []string) error {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	body, contentType, ok := webui.DocsAsset(name)
	if !ok || (name == "") != (len(args) == 0) { // "/docs/" is not the page
		return problem(codeNotFound, "there is no such page; the API page is at /docs")
	}
	ctx.SetContentType(contentType)
	if name != "" {
		ctx.Response.Header.SetCanonical(headerCacheControl, []byte("public, max-age=600"))
	}
	ctx.Response.SetBodyRaw(body) // as above
	return nil
}
