package httpserver

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"

	"sekali"
)

// Codes of the HTTP protocol; those of the domain are in package sekali.
const (
	codeMalformed            sekali.Code = "malformed"
	codeNotFound                         = sekali.CodeNotFound
	codeMethodNotAllowed     sekali.Code = "method_not_allowed"
	codeRequestTimeout       sekali.Code = "request_timeout"
	codeBodyTooLarge         sekali.Code = "body_too_large"
	codeBatchTooLarge        sekali.Code = "batch_too_large"
	codeUnsupportedMediaType sekali.Code = "unsupported_media_type"
	codeUnsupportedEncoding  sekali.Code = "unsupported_encoding"
	codeExpectationFailed    sekali.Code = "expectation_failed"
	codeInvalidQuery         sekali.Code = "invalid_query"
	codeInvalidKey           sekali.Code = "invalid_key"
	codeHeadersTooLarge      sekali.Code = "headers_too_large"
	codeForbiddenOrigin      sekali.Code = "forbidden_origin"
	codeMisdirected          sekali.Code = "misdirected"
)

// ErrorInfo describes a code for the documentation.
type ErrorInfo struct {
	Code    sekali.Code
	Status  int
	Meaning string
	Advice  string
}

// ErrorTable lists every code that an answer can carry. docs/errors.md is
// generated from it.
var ErrorTable = []ErrorInfo{
	{codeMalformed, 400, "The body is not JSON, not what its `Content-Encoding` says, or the request is not well-formed HTTP.", "Mend the request. Nothing was stored."},
	{sekali.CodeUnauthorized, 401, "The server needs a key and got none, or one that it does not know, or that was revoked or has expired.", "Send `Authorization: Bearer <key>`. Nothing was stored."},
	{sekali.CodeForbidden, 403, "The key is not for this: it lacks the scope, or the topic.", "Use another key. Nothing of the request was stored."},
	{codeForbiddenOrigin, 403, "A browser sent the request for a page of another origin.", "Start the server with `--cors-origins` to let that page use it. Nothing was stored."},
	{codeNotFound, 404, "There is no such path, event or key.", "GET / lists the endpoints."},
	{codeMethodNotAllowed, 405, "The path exists and does not take this method.", "Use one that the `Allow` header names."},
	{codeRequestTimeout, 408, "The request did not arrive in time.", "Send it again, with the same ids."},
	{codeBodyTooLarge, 413, "The body, as sent or decompressed, is larger than `--max-body-bytes`.", "Send smaller batches. Nothing was stored."},
	{codeBatchTooLarge, 413, "The batch has more events than `--max-batch-events`.", "Send smaller batches. Nothing was stored."},
	{codeUnsupportedMediaType, 415, "The content type is not one that Sekali takes.", "Send `Content-Type: application/json`."},
	{codeUnsupportedEncoding, 415, "The body is compressed in a way that Sekali does not take.", "Send it plain, or with one of `Content-Encoding: gzip` and `zstd` (window of at most 8 MiB, no dictionary)."},
	{codeExpectationFailed, 417, "The `Expect` header asks for something else than 100-continue.", "Leave the header out."},
	{codeMisdirected, 421, "The request is addressed to a name (`Host`) that the server does not go by.", "Use `localhost` or an address, or start the server with `--allowed-hosts` and the name. Nothing was stored."},
	{sekali.CodeInvalidEvent, 422, "An event breaks a rule; `detail` lists each fault with its place.", "Mend the events that it names. Nothing of the request was stored."},
	{codeInvalidQuery, 422, "A query parameter breaks a rule; `detail` lists each fault.", "Mend the parameter."},
	{codeInvalidKey, 422, "What is asked of a key breaks a rule; `detail` lists each fault.", "Mend the request. No key was made or changed."},
	{sekali.CodeTopicOverloaded, 429, "The topic has its limit of events or bytes in flight.", "Send the request again, with the same ids, after `Retry-After` seconds. Nothing was stored."},
	{sekali.CodeRateLimited, 429, "The key has used up its rate, or has its limit of events or bytes in flight.", "Send the request again, with the same ids, after `Retry-After` seconds. Nothing was stored."},
	{codeHeadersTooLarge, 431, "The request line and headers are larger than 8 KiB together.", "Send fewer or shorter headers."},
	{sekali.CodeInternal, 500, "The server made a mistake. The log has it under the request id.", "Send the request again, with the same ids; report it if it stays."},
	{sekali.CodeOverloaded, 503, "The server has its limit of events, bytes or connections.", "Send the request again, with the same ids, after `Retry-After` seconds. Nothing was stored."},
	{sekali.CodeTimeout, 503, "The disk did not answer within `--request-timeout`.", "The events may or may not be stored: send the request again, with the same ids."},
	{sekali.CodeTopicRestarted, 503, "The topic failed and was restarted.", "The events may or may not be stored: send the request again, with the same ids."},
	{sekali.CodeStorageBusy, 503, "Another program holds the database, a query took too long, or a damaged part of the index is being rebuilt.", "Send the request again, with the same ids, after `Retry-After` seconds."},
	{sekali.CodeWALPressure, 503, "Another program has held a read of the database for so long that its log grew to 1 GiB.", "End that program; the server goes on by itself. Send the request again, with the same ids."},
	{sekali.CodeShuttingDown, 503, "The server is shutting down.", "Send the request again, with the same ids, to the next instance. Nothing was stored."},
	{sekali.CodeStorageFailed, 503, "The storage failed; the server acknowledges nothing any more and exits.", "Look at the server's log and disk. Send the request again, with the same ids, when it is back."},
	{sekali.CodeStorageFull, 507, "The disk is full.", "Free space; the server goes on by itself. Send the request again, with the same ids."},
}

var statusOf = func() map[sekali.Code]int {
	m := make(map[sekali.Code]int, len(ErrorTable))
	for _, e := range ErrorTable {
		m[e.Code] = e.Status
	}
	return m
}()

// validationError is a refusal with a list of faults instead of a text.
type validationError struct {
	code   sekali.Code
	faults []fault
	base   location
	// unlisted faults there are beside those of faults.
	unlisted int
}

func (e *validationError) Error() string {
	return string(e.code) + ": " + strconv.Itoa(len(e.faults)) + " faults"
}

// writeError is the one place where an error becomes an answer. Whatever a
// handler had begun to write is dropped.
func (s *Server) writeError(ctx *fasthttp.RequestCtx, err error) {
	var (
		invalid *validationError
		known   *sekali.Error
	)
	code := sekali.CodeInternal
	body := make([]byte, 0, 256)
	switch {
	case errors.As(err, &invalid):
		code = invalid.code
		body = appendErrorHead(body, code)
		body = appendFaults(body, invalid.base, invalid.faults, invalid.unlisted)
	case errors.As(err, &known):
		code = known.Code
		if code == sekali.CodeUnauthorized {
			ctx.Response.Header.Set("WWW-Authenticate", `Bearer realm="sekali"`)
		}
		body = appendString(appendErrorHead(body, code), known.Message)
		if known.RetryAfter > 0 {
			ctx.Response.Header.Set("Retry-After", strconv.Itoa(int((known.RetryAfter+time.Second-1)/time.Second)))
		}
	case errors.Is(err, context.DeadlineExceeded):
		// Only reads end here: what is not known of a write has a code.
		code = sekali.CodeStorageBusy
		body = appendString(appendErrorHead(body, code), "the store did not answer in time; ask again")
		ctx.Response.Header.Set("Retry-After", "1")
	default:
		body = appendString(appendErrorHead(body, code), "internal error; the server's log has it under this request id")
	}
	status := statusOf[code]
	s.logError(ctx, status, err)
	body = appendErrorTail(body, requestID(ctx))
	ctx.Response.ResetBody()
	ctx.Response.Header.Del("Link")
	writeJSON(ctx, status, body)
}

func appendErrorHead(b []byte, code sekali.Code) []byte {
	return append(appendString(append(b, `{"code":`...), string(code)), `,"detail":`...)
}

func appendErrorTail(b []byte, id string) []byte {
	return append(appendString(append(b, `,"request_id":`...), id), "}\n"...)
}

// logError keeps the senders' mistakes out of the log unless somebody is
// debugging; ours are always there.
func (s *Server) logError(ctx *fasthttp.RequestCtx, status int, err error) {
	level := slog.LevelDebug
	if status == fasthttp.StatusInternalServerError {
		level = slog.LevelError
	}
	s.log.Log(context.Background(), level, "request answered with an error", "status", status, "error", err, "request_id", requestID(ctx))
}

// handleProtocolError answers what fasthttp could not read as a request.
func (s *Server) handleProtocolError(ctx *fasthttp.RequestCtx, err error) {
	s.ids.assign(ctx)
	s.setSecurityHeaders(ctx)
	var (
		smallBuffer *fasthttp.ErrSmallBuffer
		netErr      net.Error
	)
	answer := problem(codeMalformed, "this is not a well-formed HTTP/1.1 request")
	switch {
	case errors.As(err, &smallBuffer):
		answer = problem(codeHeadersTooLarge, "the request line and headers are larger than 8 KiB together")
	case errors.As(err, &netErr) && netErr.Timeout():
		answer = problem(codeRequestTimeout, "the request did not arrive within "+s.ReadTimeout.String())
	}
	s.writeError(ctx, answer)
	closeUnread(ctx)
}

func writeJSON(ctx *fasthttp.RequestCtx, status int, body []byte) {
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	ctx.SetBody(body)
}

// appendString appends s as a JSON string.
func appendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // invalid UTF-8 becomes U+FFFD; stored values have none
	return b
}
