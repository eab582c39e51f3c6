package debugcmd

import (
	"bytes"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/pool/recording"
)

func newReplay(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "replay FILE",
		Short: "Decide again what was recorded, and say why",
		Long: `Decide again what hostler acquire --record FILE has written down, by that file alone: nothing is read of the state,
and nothing is changed. Printed are what each decision gives, what it changes, why it gives nothing, and what it passed
over and why. It fails if a decision differs from the recorded one, as it may in another version of hostler.`,
		Example: "  hostler acquire -s web --record decision.jsonl\n  hostler debug replay decision.jsonl\n" +
			"  hostler debug replay --json decision.jsonl",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return replay(a, args[0]) },

		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault // files
		},
	}
}

// replay decides again what a file has.
func replay(a *cli.App, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return &compute.Error{Kind: compute.ErrNotFound, Err: err}
	}
	rec, err := recording.Read(bytes.NewReader(text))
	if err != nil {
		return fault.Invalid("hostler acquire --record FILE writes one", "%s: %w", file, err)
	}
	out := replayView{Program: rec.Program, Decisions: []decisionView{}}
	differs := 0
	for _, d := range rec.Decisions {
		v, err := viewOf(d)
		if err != nil {
			return fault.Invalid("", "%s: %w", file, err)
		}
		if out.Decisions = append(out.Decisions, v); !v.Same {
			differs++
		}
	}
	if a.JSON {
		err = a.PrintJSON(out)
	} else {
		err = print(a, out)
	}
	if err != nil || differs == 0 {
		return err
	}
	return &compute.Error{
		Kind: compute.ErrFailed, Err: fmt.Errorf("%d of %d decisions differ from the recorded ones", differs, len(rec.Decisions)),
		Hint: fmt.Sprintf("hostler %s recorded them, and this is %s", term.Line(rec.Program), version.Read().Version),
	}
}
