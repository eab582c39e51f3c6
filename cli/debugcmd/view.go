package debugcmd

import (
	"fmt"
	"strings"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/pool/recording"
	"github.com/hostler-project/hostler/text/visible"
)

// replayView is the document of debug replay.
type replayView struct {
	Program   string         `json:"program"` // the version that recorded it
	Decisions []decisionView `json:"decisions"`
}

// decisionView is one decision of a recording.
type decisionView struct {
	Source string            `json:"source"`
	Count  int               `json:"count"`
	Owner  string            `json:"owner"`
	Same   bool              `json:"same"`            // it is decided as it was
	Asked  string            `json:"asked,omitempty"` // by this version, and is not recorded
	Now    recording.Outcome `json:"now"`             // as it is decided now
	Was    recording.Outcome `json:"was"`             // as it was recorded
}

// viewOf decides one again.
func viewOf(d *recording.Decision) (v decisionView, err error) {
	req := d.Request()
	v = decisionView{Source: req.Source, Count: req.Count, Owner: req.Owner, Was: d.Was}
	v.Now, v.Asked, err = d.Replay()
	v.Same = v.Asked == "" && v.Now.Same(d.Was)
	return v, err
}

// print prints decisions for people.
func print(a *cli.App, out replayView) error {
	var b strings.Builder
	for n, d := range out.Decisions {
		if n > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "decision %d: %d of %s for %s\n", n+1, d.Count, term.Line(d.Source), term.Line(d.Owner))
		printOutcome(&b, d.Now)
		if d.Asked != "" {
			fmt.Fprintf(&b, "  it asks what is not recorded: %s\n", term.Line(d.Asked))
		}
		if !d.Same {
			b.WriteString("  it was decided otherwise:\n")
			printOutcome(&b, d.Was)
		}
	}
	return term.Printf(a.Out, "%s", visible.Block(b.String()))
}

func printOutcome(b *strings.Builder, o recording.Outcome) {
	if o.Kind != "" {
		fmt.Fprintf(b, "  gives nothing (%s): %s\n", term.Line(o.Kind), term.Line(o.Reason))
	}
	for _, g := range o.Grants {
		how := "stands ready"
		switch {
		case g.Beside:
			how = "has room beside others"
		case g.Make:
			how = "is made"
		case g.Verify:
			how += ", and is checked"
		}
		fmt.Fprintf(b, "  gives %s: it %s", term.Line(string(g.Instance)), how)
		for behind := g.Behind; behind != nil; behind = behind.Behind {
			fmt.Fprintf(b, ", over %s", term.Line(string(behind.Instance)))
		}
		b.WriteString("\n")
	}
	for _, c := range o.Changes {
		what := string(c.Instance)
		if c.Waiter != 0 {
			what = fmt.Sprintf("request %d", c.Waiter)
		}
		fmt.Fprintf(b, "  changes %s: %s", term.Line(what), term.Line(c.Do))
		if c.Why != "" {
			fmt.Fprintf(b, ", %s", term.Line(c.Why))
		}
		b.WriteString("\n")
	}
	for _, p := range o.Passed {
		what := "a new one of " + p.Source
		if p.Instance != "" {
			what = string(p.Instance)
		}
		fmt.Fprintf(b, "  passes over %s: %s\n", term.Line(what), term.Line(p.Why))
	}
}
