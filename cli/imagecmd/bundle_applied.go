package imagecmd

import (
	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
)

// appliedView is what `bundle apply --json` prints.
type appliedView struct {
	Instance string     `json:"instance"`
	Changed  int        `json:"changed"`
	DryRun   bool       `json:"dry_run"`
	Steps    []stepView `json:"steps"`
	Error    string     `json:"error,omitempty"`
}

// stepView is a step of it.
type stepView struct {
	Kind    string  `json:"kind"`
	Bundle  string  `json:"bundle,omitempty"`
	Name    string  `json:"name"`
	Action  string  `json:"action"`
	Why     string  `json:"why,omitempty"`
	Exit    int     `json:"exit"`
	Seconds float64 `json:"seconds"`
	Stdout  string  `json:"stdout,omitempty"`
	Stderr  string  `json:"stderr,omitempty"`
	Diff    string  `json:"diff,omitempty"`
	Error   string  `json:"error,omitempty"`
}

// applied prints the outcome of the steps.
func applied(a *cli.App, instance string, res *bundle.Result, r applying, err error) error {
	v := appliedView{Instance: instance, Changed: res.Changed(), DryRun: r.opt.DryRun, Steps: []stepView{}, Error: term.TextOf(err)}
	for _, o := range res.Outcomes {
		v.Steps = append(v.Steps, stepView{
			o.Step.Kind, o.Step.Bundle, o.Step.Name, o.Action, o.Why, o.Exit, o.Took.Seconds(), o.Stdout, o.Stderr, o.Diff,
			term.TextOf(o.Err),
		})
	}
	if a.JSON {
		return a.PrintJSON(v)
	}
	var rows [][]string
	same := 0
	for _, s := range v.Steps {
		if s.Action == bundle.Same || s.Action == bundle.Skipped {
			same++
			continue
		}
		rows = append(rows, []string{s.Action, s.Kind, s.Bundle, term.Line(s.Name), term.Line(s.Why)})
	}
	if len(rows) > 0 {
		if err := term.Table(a.Out, []string{"", "step", "bundle", "name", "why"}, rows); err != nil {
			return err
		}
	}
	for _, s := range v.Steps {
		if s.Diff != "" {
			if err := a.WriteContent(s.Diff); err != nil {
				return err
			}
		}
	}
	if a.Quiet || len(v.Steps) == 0 {
		return nil
	}
	return term.Printf(a.Out, "%d steps, %d of them were as they should be\n", len(v.Steps), same)
}
