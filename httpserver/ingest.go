package httpserver

import (
	"iter"
	"mime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"

	"sekali"
	"sekali/access"
)

// preferences are the parts of the Prefer header (RFC 7240) that we know.
type preferences struct {
	minimal bool // return=minimal: leave the results out
	lenient bool // handling=lenient: take the valid events of a batch
}

// handleIngest takes the events of one request: it parses and checks them,
// copies them out of the request's buffers, hands them to the domain and
// answers when their fate is on disk. While nothing can be taken it refuses
// without parsing: that has to be cheap, or refusing becomes the load.
//
// Next: [parseEvents], then Ingester.Ingest, which is [actors.System.Ingest].
func (s *Server) handleIngest(ctx *fasthttp.RequestCtx, _ []string) error {
	coding, err := contentCoding(&ctx.Request.Header)
	if err != nil {
		ctx.Response.Header.Set("Accept-Encoding", acceptedCodings)
		return err
	}
	if err := checkContentType(&ctx.Request.Header); err != nil {
		return err
	}
	if err := s.domain.Admits(); err != nil {
		return err
	}
	prefer, grant := parsePrefer(&ctx.Request.Header), grantOf(ctx)
	batch, err := s.readEvents(ctx.PostBody(), coding)
	if err := spend(grant, &batch); err != nil { // also for what could not be read
		return err
	}
	if err != nil {
		return err
	}
	if len(batch.faults) > 0 && !prefer.lenient {
		return &validationError{code: sekali.CodeInvalidEvent, faults: batch.faults, base: batch.at, unlisted: batch.unlisted}
	}
	if err := keepToTopics(grant, &batch, prefer.lenient); err != nil {
		return err
	}
	charge := chargeOf(&batch, prefer)
	if err := s.results.take(charge); err != nil { // what is stored has to be answered
		return err
	}
	defer func() { s.results.give(charge) }()
	results, err := s.ingest(grant, batch.events)
	if err != nil {
		return err
	}
	charge = s.writeIngestAnswer(ctx, &batch, results, prefer, charge)
	return nil
}

// chargeOf returns what the answer to a batch is charged for: about as much as
// it takes.
func chargeOf(batch *parsedBatch, prefer preferences) int64 {
	if prefer.minimal {
		return 0
	}
	const resultBytes, faultBytes = 64, 64 // without the words of a fault
	bytes := resultBytes * batch.total
	for i := range batch.faults {
		f := &batch.faults[i]
		bytes += faultBytes + len(f.field) + len(f.typ) + len(f.msg)
	}
	return max(0, int64(bytes)-freeAnswerBytes)
}

// ingest hands events, if there are any, to the domain, within the budget of
// their key.
func (s *Server) ingest(grant *access.Grant, events []sekali.Event) ([]sekali.Result, error) {
	if len(events) == 0 {
		return nil, nil
	}
	if grant != nil {
		if err := grant.Enter(len(events)); err != nil {
			return nil, err
		}
		defer grant.Leave(len(events))
	}
	wait := s.waits.get(s.RequestTimeout)
	defer s.waits.put(wait)
	return s.domain.Ingest(wait, events)
}

// readEvents reads the events of a body, which it decompresses first if need be.
func (s *Server) readEvents(sent []byte, c coding) (parsedBatch, error) {
	if c == codingIdentity {
		return parseEvents(sent, s.MaxBatchEvents)
	}
	plain, err := s.decoders.decode(c, sent, s.RequestTimeout)
	if err != nil {
		return parsedBatch{}, err
	}
	defer s.bodies.put(plain)
	return parseEvents(plain.bytes, s.MaxBatchEvents)
}

func checkContentType(h *fasthttp.RequestHeader) error {
	given := h.ContentType()
	if len(given) == 0 || string(given) == "application/json" { // nearly all
		return nil
	}
	contentType := string(given)
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/json" {
		return problem(codeUnsupportedMediaType, "the content type is "+printable(contentType)+"; send -H 'Content-Type: application/json'")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return problem(codeUnsupportedMediaType, "the character set is "+printable(charset)+"; JSON is sent in UTF-8")
	}
	return nil
}

func parsePrefer(h *fasthttp.RequestHeader) (p preferences) {
	for _, line := range h.PeekAll("Prefer") {
		for preference := range unquotedParts(string(line), ',') {
			p.add(preference)
		}
	}
	return p
}

// add notes one preference, if it is one of ours: a name and a value, which may
// be quoted, and parameters, of which ours have none.
func (p *preferences) add(preference string) {
	for first := range unquotedParts(preference, ';') {
		name, value, _ := strings.Cut(first, "=")
		value = strings.Trim(value, " \t")
		if len(value) > 2 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		switch strings.ToLower(strings.Trim(name, " \t") + "=" + value) {
		case "return=minimal":
			p.minimal = true
		case "handling=lenient":
			p.lenient = true
		}
		return
	}
}

// unquotedParts splits a header where a separator stands outside of quotes.
func unquotedParts(s string, separator byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		begin, quoted := 0, false
		for i := range len(s) {
			switch {
			case s[i] == '"':
				quoted = !quoted
			case s[i] == separator && !quoted:
				if !yield(s[begin:i]) {
					return
				}
				begin = i + 1
			}
		}
		yield(s[begin:])
	}
}

func (p preferences) applied() string {
	var applied []string
	if p.minimal {
		applied = append(applied, "return=minimal")
	}
	if p.lenient {
		applied = append(applied, "handling=lenient")
	}
	return strings.Join(applied, ", ")
}

// answers has the memory in which answers are put together.
var answers = sync.Pool{New: func() any { return new([]byte) }}

// writeIngestAnswer answers and returns what is left of the charge: a large
// answer takes it over.
func (s *Server) writeIngestAnswer(ctx *fasthttp.RequestCtx, batch *parsedBatch, results []sekali.Result, prefer preferences, charge int64) (left int64) {
	if applied := prefer.applied(); applied != "" {
		ctx.Response.Header.Set("Preference-Applied", applied)
	}
	if charge > 0 {
		ctx.SetStatusCode(fasthttp.StatusOK)
		s.results.send(ctx, "application/json", s.appendIngestAnswer(make([]byte, 0, charge+freeAnswerBytes), batch, results, prefer), charge)
		return 0
	}
	b := answers.Get().(*[]byte)
	*b = s.appendIngestAnswer((*b)[:0], batch, results, prefer)
	writeJSON(ctx, fasthttp.StatusOK, *b)
	overwrite(*b)
	if cap(*b) <= maxPooledText {
		answers.Put(b)
	}
	return 0
}

// appendIngestAnswer appends the counts and, unless they are not wanted, the
// results in request order.
func (s *Server) appendIngestAnswer(b []byte, batch *parsedBatch, results []sekali.Result, prefer preferences) []byte {
	stored := 0
	for i := range results {
		if results[i].Outcome == sekali.OutcomeStored {
			stored++
		}
	}
	b = append(b, `{"status":"ok","accepted":`...)
	b = strconv.AppendInt(b, int64(len(results)), 10)
	b = strconv.AppendInt(append(b, `,"stored":`...), int64(stored), 10)
	b = strconv.AppendInt(append(b, `,"duplicates":`...), int64(len(results)-stored), 10)
	if prefer.lenient {
		b = strconv.AppendInt(append(b, `,"invalid":`...), int64(batch.total-len(results)), 10)
	}
	if s.Durability != "durable" {
		b = appendString(append(b, `,"durability":`...), s.Durability)
	}
	if !prefer.minimal {
		const resultBytes = 44 // of most
		b = slices.Grow(b, resultBytes*batch.total)
		b = append(appendResults(append(b, `,"results":[`...), batch, results), ']')
	}
	return append(b, "}\n"...)
}

// appendResults interleaves the results of the taken events with the faults of
// the others.
func appendResults(b []byte, batch *parsedBatch, results []sekali.Result) []byte {
	faults := batch.faults
	for i := range batch.total {
		if i > 0 {
			b = append(b, ',')
		}
		own := 0
		for own < len(faults) && faults[own].index == i {
			own++
		}
		if own > 0 {
			b = append(appendFaults(append(b, `{"outcome":"invalid","detail":`...), batch.at, faults[:own], 0), '}')
			faults = faults[own:]
			continue
		}
		b = appendResult(b, results[0])
		results = results[1:]
	}
	return b
}

func appendResult(b []byte, r sekali.Result) []byte {
	switch r.Outcome { // the two that there are many of
	case sekali.OutcomeStored:
		b = append(b, `{"outcome":"stored","seq":`...)
	case sekali.OutcomeDuplicate:
		b = append(b, `{"outcome":"duplicate","seq":`...)
	default:
		b = append(append(append(b, `{"outcome":"`...), r.Outcome.String()...), `","seq":`...)
	}
	b = strconv.AppendInt(b, r.Seq, 10)
	if r.Conflict {
		b = append(b, `,"conflict":true`...)
	}
	return append(b, '}')
}
