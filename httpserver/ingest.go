package httpserver

import (
	"mime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"

	"sekali"
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
	prefer := parsePrefer(&ctx.Request.Header)
	batch, err := s.readEvents(ctx.PostBody(), coding)
	if err != nil {
		return err
	}
	if len(batch.faults) > 0 && !prefer.lenient {
		return &validationError{code: sekali.CodeInvalidEvent, faults: batch.faults, base: batch.at}
	}
	var results []sekali.Result
	if len(batch.events) > 0 {
		wait := s.waits.get(s.RequestTimeout)
		defer s.waits.put(wait)
		if results, err = s.domain.Ingest(wait, batch.events); err != nil {
			return err
		}
	}
	s.writeIngestAnswer(ctx, &batch, results, prefer)
	return nil
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

// quotesAndBlanks are what a preference may have around its parts.
var quotesAndBlanks = strings.NewReplacer(`"`, "", " ", "", "\t", "")

func parsePrefer(h *fasthttp.RequestHeader) (p preferences) {
	for _, line := range h.PeekAll("Prefer") {
		for preference := range strings.SplitSeq(string(line), ",") {
			preference, _, _ = strings.Cut(preference, ";") // parameters, of which ours have none
			switch strings.ToLower(quotesAndBlanks.Replace(preference)) {
			case "return=minimal":
				p.minimal = true
			case "handling=lenient":
				p.lenient = true
			}
		}
	}
	return p
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

func (s *Server) writeIngestAnswer(ctx *fasthttp.RequestCtx, batch *parsedBatch, results []sekali.Result, prefer preferences) {
	if applied := prefer.applied(); applied != "" {
		ctx.Response.Header.Set("Preference-Applied", applied)
	}
	b := answers.Get().(*[]byte)
	*b = s.appendIngestAnswer((*b)[:0], batch, results, prefer)
	writeJSON(ctx, fasthttp.StatusOK, *b)
	overwrite(*b)
	if cap(*b) <= maxPooledText {
		answers.Put(b)
	}
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
			b = append(appendFaults(append(b, `{"outcome":"invalid","detail":`...), batch.at, faults[:own]), '}')
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
