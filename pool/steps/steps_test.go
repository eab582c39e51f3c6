package steps_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/steps"
)

var update = flag.Bool("update", false, "write docs/lifecycle.md")

const page = "../../docs/lifecycle.md"

// TestTable: a state has one row for a step, every step leads somewhere, and every state is reached
// and left.
func TestTable(t *testing.T) {
	seen, to, from := map[string]bool{}, map[compute.State]bool{}, map[compute.State]bool{}
	for _, r := range steps.Table() {
		key := fmt.Sprintf("%s from %q", r.Step, r.From)
		if seen[key] {
			t.Errorf("%s: there are two rows", key)
		}
		seen[key], to[r.To], from[r.From] = true, true, true
		if r.When == "" || r.Records == "" {
			t.Errorf("%s: When = %q, Records = %q; want both", key, r.When, r.Records)
		}
		if got, err := steps.Take(r.From, r.Step); err != nil || got != r.To {
			t.Errorf("%s: got %q, %v; want %q", key, got, err, r.To)
		}
		if !steps.May(r.From, r.Step) || !steps.Leads(r.From, r.To) {
			t.Errorf("%s: the table does not know its own row", key)
		}
	}
	for _, s := range steps.States() {
		if !to[s.State] || !from[s.State] {
			t.Errorf("%s: reached %v, left %v; want both", s.State, to[s.State], from[s.State])
		}
		if s.Undo.Step != "" && !steps.May(s.State, s.Undo.Step) {
			t.Errorf("%s: it is undone by %s, which does not lead from it", s.State, s.Undo.Step)
		}
		if s.Means == "" || s.Undo.About == "" {
			t.Errorf("%s: it has no words", s.State)
		}
	}
}

// TestUnknownStep: a step that is not in the table is refused, in words.
func TestUnknownStep(t *testing.T) {
	for _, c := range []struct {
		from compute.State
		step steps.Step
		want string
	}{
		{compute.Held, steps.HandOut, `no step "hand-out" leads from held`},
		{steps.None, steps.Discard, `no step "discard" leads from no record`},
		{"lost", steps.Discard, `no step "discard" leads from lost`},
	} {
		if to, err := steps.Take(c.from, c.step); err == nil || err.Error() != c.want || to != steps.None {
			t.Errorf("%s from %q: got %q, %v; want %q", c.step, c.from, to, err, c.want)
		}
	}
}

// TestPage holds docs/lifecycle.md to the table; -update writes it.
func TestPage(t *testing.T) {
	want := draw()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/lifecycle.md is not as the table says: go test ./pool/steps -run TestPage -update")
	}
}

// draw writes the page.
func draw() string {
	var b strings.Builder
	b.WriteString(`# The life of an instance

This page is written from the table in ` + "`pool/steps`" + `, by ` + "`go test ./pool/steps -run TestPage -update`" + `. The engine changes
the state of an instance by a step of this table and by nothing else: another step is an error, and changes nothing. The simulator of
` + "`go test ./pool -run TestSimulate`" + ` counts the steps that it takes, and fails if one is never taken.

` + "```mermaid\nstateDiagram-v2\n")
	name := func(s compute.State) string {
		if s == steps.None {
			return "[*]"
		}
		return strings.ReplaceAll(string(s), "-", "_")
	}
	for _, s := range steps.States() {
		if n := name(s.State); n != string(s.State) {
			fmt.Fprintf(&b, "    state %q as %s\n", s.State, n)
		}
	}
	for _, r := range steps.Table() {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", name(r.From), name(r.To), r.Step)
	}
	b.WriteString("```\n\n## States\n\n" +
		"The last column says what becomes of an instance that no process works on: its process died, its work failed,\n" +
		"or its time has come. " +
		"The next command or the controller does that.\n\n| state | it is | if no process works on it |\n|---|---|---|\n")
	for _, s := range steps.States() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", s.State, s.Means, s.Undo.About)
	}
	b.WriteString("\n## Steps\n\nWhat a step records is one transaction with the new state. " +
		"What is done then comes after that transaction,\nso a crash finds it recorded.\n\n" +
		"| from | step | to | when | it records | then |\n|---|---|---|---|---|---|\n")
	state := func(s compute.State) string {
		if s == steps.None {
			return "no record"
		}
		return string(s)
	}
	for _, r := range steps.Table() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", state(r.From), r.Step, state(r.To), r.When, r.Records, r.Then)
	}
	return b.String()
}
