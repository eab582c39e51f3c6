package sourcecmd

import (
	"errors"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/text/visible"
)

// trustShow prints what needs trust in a root of a tree, or in all.
func trustShow(a *cli.App, dangers []config.Danger, root string) error {
	if root != "" {
		d, err := danger(dangers, root)
		if err != nil {
			return err
		}
		dangers = []config.Danger{d}
	}
	views := []trustView{}
	for _, d := range dangers {
		views = append(views, viewTrust(d))
	}
	if a.JSON {
		return a.PrintJSON(views)
	}
	for _, v := range views {
		if err := term.Printf(a.Out, "%s", visible.Shown(v.text())); err != nil {
			return err
		}
	}
	if len(views) == 0 && !a.Quiet {
		return term.Printf(a.Out, "nothing here needs approval\n")
	}
	return nil
}

// sayUnjudged names the broken sources of a tree, which cannot be judged: those of one root, or all
// for "".
func sayUnjudged(a *cli.App, cfg *config.Config, root string) error {
	var out error
	for _, s := range cfg.Sources {
		if s.Tree && s.Err != nil && !errors.Is(s.Err, config.ErrUntrusted) && (root == "" || s.Root == root) {
			out = errors.Join(
				out,
				term.Printf(a.Err, "%s: not judged, as it is broken and cannot be used: %s\n", a.Program, term.Line(term.ErrorText(s.Err))),
			)
		}
	}
	return out
}

// trustView is a root in `trust show --json`.
type trustView struct {
	Root    string        `json:"root"`
	Digest  string        `json:"digest"`
	Trusted bool          `json:"trusted"`
	Items   []trustItem   `json:"items"`
	Gone    []string      `json:"gone"`
	Risks   []config.Risk `json:"risks"`
}

// trustItem is one thing that needs approval or has it.
type trustItem struct {
	Name    string        `json:"name"`
	State   string        `json:"state"`
	Source  string        `json:"source,omitempty"`
	File    string        `json:"file"`
	Line    int           `json:"line,omitempty"`
	Effect  string        `json:"effect"`
	Says    []string      `json:"says"`
	Before  []string      `json:"before"`
	Files   []trustFile   `json:"files"`
	Reasons []config.Risk `json:"reasons"`
}

// trustFile is a file that the approval of a thing holds for.
type trustFile struct {
	Path  string `json:"path"`
	State string `json:"state"`
	Lines int    `json:"lines,omitempty"`
	Diff  string `json:"diff,omitempty"`
}
