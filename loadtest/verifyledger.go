package loadtest

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"sekali"
	"sekali/client"
	"sekali/internal/progress"
)

// VerifyOptions say where the acknowledged events must be.
type VerifyOptions struct {
	URL     string
	APIKey  string         // "" sends none
	RootCAs *x509.CertPool // as in Options
	Timeout time.Duration  // 5 minutes by default
	// Progress and Terminal are as in Options.
	Progress io.Writer
	Terminal bool
}

// VerifyReport is what Verify found.
type VerifyReport struct {
	Server       string   `json:"server_version"`
	Acknowledged int64    `json:"acknowledged"` // different ids in the ledger
	Lines        int64    `json:"ledger_lines"`
	Topics       int      `json:"topics"`
	Found        int64    `json:"found"` // of the acknowledged ids
	Others       int64    `json:"others"`
	Torn         bool     `json:"torn_last_line"`
	Problems     problems `json:"problems"`
}

// OK reports that every acknowledged event is stored exactly once.
func (r *VerifyReport) OK() bool { return r.Problems.Count == 0 }

// Verify reads the ledger's topics from the server and checks that each
// acknowledged event is stored exactly once with the seq that was acknowledged,
// and that the server counts as unique what it lists. Events that are not in
// the ledger are counted and no problem: their acknowledgement may have got
// lost. The error says that the check could not be made.
func Verify(ctx context.Context, ledger *Ledger, o VerifyOptions) (*VerifyReport, error) {
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("the timeout of %s passed", o.Timeout))
	defer cancel()
	c, err := newClient(Options{URL: o.URL, APIKey: o.APIKey, RootCAs: o.RootCAs, Connections: 1})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Retry(ctx, c.Ready); err != nil {
		return nil, fmt.Errorf("the server at %s is not ready: %w", o.URL, err)
	}
	health, err := c.Health(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the server's version: %w", err)
	}
	v := &ledgerCheck{client: c, ledger: ledger, report: &VerifyReport{
		Server: health.Version, Lines: ledger.lines, Topics: len(ledger.topics), Torn: ledger.torn,
		Problems: ledger.problems,
	}}
	v.report.Problems.Listed = slices.Clone(ledger.problems.Listed)
	for _, ids := range ledger.topics {
		v.report.Acknowledged += int64(len(ids))
	}
	v.progress = progress.Display{Out: o.Progress, Terminal: o.Terminal}.Events("verify", v.report.Acknowledged)
	err = v.run(ctx)
	v.progress.Finish()
	return v.report, err
}

type ledgerCheck struct {
	client   *client.Client
	ledger   *Ledger
	report   *VerifyReport
	progress *progress.Phase
}

func (v *ledgerCheck) run(ctx context.Context) error {
	listed := map[string]int64{}
	for topic, acked := range v.ledger.topics {
		n, err := v.topic(ctx, topic, acked)
		if err != nil {
			return fmt.Errorf("read topic %s: %w", topic, err)
		}
		listed[topic] = n
	}
	return v.counts(ctx, listed)
}

// topic checks the events of one topic and returns how many it lists.
func (v *ledgerCheck) topic(ctx context.Context, topic string, acked map[string]int64) (int64, error) {
	seen := make(map[string]bool, len(acked))
	for e, err := range v.client.Events(ctx, client.Query{Topic: topic}) {
		if err != nil {
			return 0, err
		}
		seq, known := acked[e.ID]
		switch {
		case seen[e.ID]:
			v.report.Problems.addf("%s %s is stored twice", topic, e.ID)
		case !known:
			v.report.Others++
		case seq != e.Seq:
			v.report.Problems.addf("%s %s was acknowledged with seq %d and is stored with seq %d", topic, e.ID, seq, e.Seq)
		default:
			v.report.Found++
			v.progress.Add(1)
		}
		seen[e.ID] = true
	}
	for id, seq := range acked {
		if !seen[id] {
			v.report.Problems.addf("%s %s was acknowledged with seq %d and is not there", topic, id, seq)
		}
	}
	return int64(len(seen)), nil
}

// counts compares the unique counts of /topics with what was listed. Nobody may
// write to the ledger's topics meanwhile.
func (v *ledgerCheck) counts(ctx context.Context, listed map[string]int64) error {
	counts := map[string]sekali.TopicStats{}
	for t, err := range v.client.Topics(ctx, client.TopicsQuery{}) {
		if err != nil {
			return fmt.Errorf("read the counts of the topics: %w", err)
		}
		if _, ours := listed[t.Topic]; ours {
			counts[t.Topic] = t
		}
	}
	for topic, n := range listed {
		if got := counts[topic].Unique; got != n {
			v.report.Problems.addf("%s holds %d events but counts %d", topic, n, got)
		}
	}
	return nil
}

// WriteText writes the report for people.
func (r *VerifyReport) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Ledger: %s lines, %s acknowledged ids in %s topics\n",
		group(r.Lines), group(r.Acknowledged), group(int64(r.Topics)))
	if r.Torn {
		b.WriteString("The last line was cut off and is not counted.\n")
	}
	fmt.Fprintf(&b, "Server: sekali %s holds %s of them with the seq that was acknowledged, and %s other events\n",
		r.Server, group(r.Found), group(r.Others))
	writeProblems(&b, r.Problems)
	if r.OK() {
		b.WriteString("\nOK: each acknowledged event is stored exactly once\n")
	} else {
		fmt.Fprintf(&b, "\nFAILED: %s\n", countProblems(r.Problems.Count))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
