package loadtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// ledgerWriter notes acknowledged events, one line each: topic, event id and
// seq, separated by tabs, which none of them can hold. The lines of one answer
// are one write, made before the next request leaves the connection, so that a
// crash of the server or of this process loses no acknowledgement that counted.
type ledgerWriter struct {
	mu  sync.Mutex
	out io.Writer // nil writes nothing
}

// write appends the acknowledged sends from..to of the run.
func (l *ledgerWriter) write(p *plan, sends []sendRecord, from, to int) error {
	if l.out == nil {
		return nil
	}
	var lines []byte
	for s := from; s < to; s++ {
		k := int(p.sends[s])
		lines = append(lines, p.topics[p.topicOf(k)]...)
		lines = append(lines, '\t')
		lines = append(lines, p.idOf(k)...)
		lines = append(lines, '\t')
		lines = strconv.AppendInt(lines, sends[s].seq, 10)
		lines = append(lines, '\n')
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.out.Write(lines); err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	return nil
}

// Ledger is what a server acknowledged: topic, event id, seq.
type Ledger struct {
	topics map[string]map[string]int64
	lines  int64
	// torn is true when the last line was cut off, as by a crash of the writer.
	torn     bool
	problems problems
}

// Empty reports whether nothing was acknowledged in it.
func (l *Ledger) Empty() bool { return l.lines == 0 }

// ReadLedger reads the lines that runs with Options.Ledger wrote. Several runs
// may have appended to one ledger.
func ReadLedger(r io.Reader) (*Ledger, error) {
	l := &Ledger{topics: map[string]map[string]int64{}}
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			l.torn = line != ""
			return l, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the ledger: %w", err)
		}
		l.lines++
		if err := l.add(strings.TrimSuffix(line, "\n")); err != nil {
			return nil, fmt.Errorf("line %d of the ledger: %w", l.lines, err)
		}
	}
}

func (l *Ledger) add(line string) error {
	topic, rest, ok1 := strings.Cut(line, "\t")
	id, number, ok2 := strings.Cut(rest, "\t")
	seq, err := strconv.ParseInt(number, 10, 64)
	if !ok1 || !ok2 || err != nil || seq < 1 {
		return fmt.Errorf("%q is not topic, event id and seq", line)
	}
	ids := l.topics[topic]
	if ids == nil {
		ids = map[string]int64{}
		l.topics[topic] = ids
	}
	if before, ok := ids[id]; ok && before != seq {
		l.problems.addf("%s %s was acknowledged with seq %d and with seq %d", topic, id, before, seq)
	}
	ids[id] = seq
	return nil
}
