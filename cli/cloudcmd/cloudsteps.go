package cloudcmd

import (
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// stepsView shows steps as they are done, on a terminal.
func stepsView(a *cli.App, steps *[]deployment.Step) (tell func(deployment.Step), end func()) {
	shown := term.IsTerminal(a.Err) && !a.Quiet
	tell = func(s deployment.Step) {
		*steps = append(*steps, s)
		if shown {
			_ = term.Printf(a.Err, "\r\x1b[K%s %s %s", s.Did, s.Kind, term.Line(s.Name))
		}
	}
	return tell, func() {
		if shown {
			_ = term.Printf(a.Err, "\r\x1b[K")
		}
	}
}

// printSteps prints what was done. With --quiet it leaves out what was only found.
func printSteps(a *cli.App, steps []deployment.Step) error {
	var rows [][]string
	for _, s := range steps {
		if !a.Quiet || s.Did != deployment.Found {
			rows = append(rows, []string{s.Did, s.Kind, s.Name, term.OrDash(s.ID), s.Note})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return a.Table([]string{"did", "kind", "name", "id", "note"}, rows)
}
