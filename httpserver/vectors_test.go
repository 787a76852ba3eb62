package httpserver_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/internal/prove"
)

// vector is one of testdata/vectors.txt, whose head describes the form.
type vector struct {
	name    string
	bytes   string // with its ${...}
	eof     bool
	answers []vectorAnswer
	after   string // closed, open or either
	stored  int
}

type vectorAnswer struct {
	status int
	code   string // "-" for none, "HEAD" for no body
}

func readVectors(t testing.TB) (vectors []*vector) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.txt")
	require.NoError(t, err)
	var v *vector
	for i, line := range strings.Split(string(text), "\n") {
		kind, rest, _ := strings.Cut(line, " ")
		switch kind {
		case "", "#":
		case "==":
			v = &vector{name: rest}
			vectors = append(vectors, v)
		case ">":
			plain, err := strconv.Unquote(`"` + rest + `"`)
			require.NoError(t, err, "line %d", i+1)
			v.bytes += plain
		case "<":
			status, code, _ := strings.Cut(rest, " ")
			n, err := strconv.Atoi(status)
			require.NoError(t, err, "line %d", i+1)
			v.answers = append(v.answers, vectorAnswer{n, code})
		case "eof":
			v.eof = true
		case "closed", "open", "either":
			v.after = kind
		case "stored":
			v.stored, err = strconv.Atoi(rest)
			require.NoError(t, err, "line %d", i+1)
		default:
			require.Fail(t, "not understood", "line %d: %s", i+1, line)
		}
	}
	return vectors
}

var vectorToken = regexp.MustCompile(`(?s)\$\{([^}]*)\}`)

// expand fills in the ${...}; id makes the events of this vector its own.
func (v *vector) expand(id string) string {
	const format = `{"topic":"%s","event_id":"%s","timestamp":"2025-10-24T10:30:00Z","source":"s","payload":{}}`
	event, canary := fmt.Sprintf(format, "vectors", id), fmt.Sprintf(format, "canary", id)
	canary = fmt.Sprintf("POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(canary), canary)
	return vectorToken.ReplaceAllStringFunc(v.bytes, func(token string) string {
		switch name := token[2 : len(token)-1]; name {
		case "event":
			return event
		case "canary":
			return canary
		case "len":
			return strconv.Itoa(len(event))
		case "hexlen":
			return strconv.FormatInt(int64(len(event)), 16)
		case "canarylen":
			return strconv.Itoa(len(canary))
		case "canaryhexlen":
			return strconv.FormatInt(int64(len(canary)), 16)
		case "bytewise":
			var chunks strings.Builder
			for _, c := range []byte(event) {
				chunks.WriteString("1\r\n" + string(c) + "\r\n")
			}
			return chunks.String()
		default:
			count, text, _ := strings.Cut(name, "*")
			n, err := strconv.Atoi(count)
			if err != nil {
				panic("vectors.txt: " + token)
			}
			return strings.Repeat(text, n)
		}
	})
}

// run sends the vector over a connection of its own, in pieces of a size, and
// returns what is not as it has to be.
func (v *vector) run(n *node, id string, piece int) error {
	before := n.stats().UniqueProcessed
	conn, err := n.dial()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the server may have reset it
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	go func() { // a large one blocks until the answer is read
		for part := range slices.Chunk([]byte(v.expand(id)), piece) {
			if _, err := conn.Write(part); err != nil {
				return
			}
		}
		if v.eof {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	in := bufio.NewReader(conn)
	for i, want := range v.answers {
		if err := want.read(in); err != nil {
			return fmt.Errorf("answer %d: %w", i+1, err)
		}
	}
	if err := v.verifyEnd(conn, in); err != nil {
		return err
	}
	if stored := n.stats().UniqueProcessed - before; stored != int64(v.stored) {
		return fmt.Errorf("%d events were stored, %d should be", stored, v.stored)
	}
	return nil
}

// read reads one answer and holds it against what it should be.
func (w vectorAnswer) read(in *bufio.Reader) error {
	request := &http.Request{Method: http.MethodGet}
	if w.code == http.MethodHead {
		request.Method = http.MethodHead
	}
	response, err := http.ReadResponse(in, request)
	if err != nil {
		return fmt.Errorf("there is none: %w", err)
	}
	a, err := read(response)
	switch {
	case err != nil:
		return err
	case a.status != w.status:
		return fmt.Errorf("it has the status %d: %s", a.status, a.body)
	case w.status == http.StatusContinue:
		return nil
	case a.header.Get("X-Request-Id") == "":
		return errors.New("it has no X-Request-Id")
	case w.code == "-" || w.code == http.MethodHead:
		return nil
	}
	var r refusal
	if err := json.Unmarshal(a.body, &r); err != nil {
		return err
	}
	if r.Code != w.code || r.RequestID != a.header.Get("X-Request-Id") || len(r.Detail) == 0 || a.header.Get("Content-Type") != "application/json" {
		return fmt.Errorf("it is %s", a.body)
	}
	return nil
}

// verifyEnd finds out whether the connection is closed without another answer,
// or takes another request.
func (v *vector) verifyEnd(conn net.Conn, in *bufio.Reader) error {
	if v.after == "either" {
		return nil
	}
	if v.after == "open" {
		if _, err := io.WriteString(conn, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return err
		}
		if err := (vectorAnswer{http.StatusOK, "-"}).read(in); err != nil {
			return fmt.Errorf("the connection does not stay open: %w", err)
		}
		return nil
	}
	rest, err := io.ReadAll(in)
	if len(rest) > 0 {
		return fmt.Errorf("there is more: %.200s", rest)
	}
	if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() {
		return errors.New("the connection stays open")
	}
	return nil
}

const whole = 1 << 30 // a piece that holds any vector

func TestFault11RawVectors(t *testing.T) {
	n := start(t, setup{sockets: true})
	vectors := readVectors(t)
	require.Greater(t, len(vectors), 200)
	requests := 0
	for i, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			require.NoError(t, v.run(n.on(t), fmt.Sprint("v", i), whole))
			requests += len(v.answers)
			if len(v.expand("")) < 2000 {
				require.NoError(t, v.run(n.on(t), fmt.Sprint("p", i), 1), "byte by byte")
			}
		})
	}
	stored := n.stats().UniqueProcessed
	n.restart()
	require.Equal(t, stored, n.stats().UniqueProcessed, "the server lives and has what it said")
	prove.Report(t, prove.Result{Row: 11, Figures: []prove.Figure{
		{Name: "raw vectors", Value: float64(len(vectors))}, {Name: "answers", Value: float64(requests)},
	}})
}

// TestFault11ControlRawVectors plants wrong expectations, one of each kind,
// and finds each.
func TestFault11ControlRawVectors(t *testing.T) {
	n := start(t, setup{sockets: true})
	vectors := readVectors(t)
	right := vectors[0]
	require.NoError(t, right.run(n, "right", whole))
	for name, spoil := range map[string]func(*vector){
		"another status":     func(v *vector) { v.answers[1].status = http.StatusNotFound },
		"another code":       func(v *vector) { v.answers[1].code = "malformed" },
		"an answer too few":  func(v *vector) { v.answers = v.answers[:1]; v.after = "closed"; v.eof = true },
		"an answer too many": func(v *vector) { v.answers = append(v.answers, v.answers[0]); v.eof = true },
		"a connection that stays": func(v *vector) {
			v.bytes += "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
			v.answers = append(v.answers, v.answers[0])
		},
		"a canary not expected": func(v *vector) { v.stored = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			wrong := *right
			wrong.answers = append([]vectorAnswer(nil), right.answers...)
			spoil(&wrong)
			require.Error(t, wrong.run(n.on(t), name, whole))
		})
	}
}

// TestFault11RequestsCutAfterEachByte ends the connection after each byte of a
// request. Nothing of half a request is stored, and of a whole one everything.
func TestFault11RequestsCutAfterEachByte(t *testing.T) {
	n := start(t, setup{sockets: true})
	cuts := 0
	for name, bytes := range map[string]string{
		"length": "POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: ${len}\r\n\r\n${event}",
		"chunks": "POST /publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${hexlen}\r\n${event}\r\n0\r\n\r\n",
	} {
		v := vector{bytes: bytes}
		request := v.expand(name)
		for cut := range len(request) + 1 {
			conn, err := n.dial()
			require.NoError(t, err)
			_, err = io.WriteString(conn, request[:cut])
			require.NoError(t, err)
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			answer, err := io.ReadAll(conn)
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			taken := strings.HasPrefix(string(answer), "HTTP/1.1 200 OK")
			require.Equal(t, cut == len(request), taken, "%s cut after %q: %s", name, request[:cut], answer)
			cuts++
		}
	}
	n.requireCounts(2, 0)
	prove.Report(t, prove.Result{Row: 11, Figures: []prove.Figure{{Name: "requests cut", Value: float64(cuts)}}})
}
