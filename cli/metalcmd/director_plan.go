package metalcmd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
)

// newMetalPlan returns the command director plan.
func newMetalPlan(a *cli.App) *cobra.Command {
	var input, decider string
	var nodes []string
	cmd := &cobra.Command{
		Use:   "plan --input FILE",
		Short: "Decide which images go on which bare-metal nodes, of data in a file",
		Long: `Decide which images are to be cached on which bare-metal nodes, and which nodes are to be ejected, and print it. Nothing is done.

FILE, or - for standard input, has a JSON object a line: nodes, images, flavors and the settings of the strategy, as docs/director-metal.md has them. For each
there is an answer: with --json an object a line, {"eject": [node...], "cache": {flavor: [[node, image]...]}}, the most needed first.

--strategy NAME asks the executable hostler-strategy-NAME on PATH instead of the built-in strategy, proportional; it gets the same lines.`,
		Example: "  hostler director plan --input fleet.jsonl --json\n  hostler director plan --input - --explain node-17 < fleet.jsonl",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return metalPlan(a, cmd.Context(), input, decider, nodes)
		},
	}
	f := cmd.Flags()
	f.StringVar(&input, "input", "", "read what is decided about from `FILE`; -: from standard input")
	f.StringVar(&decider, "strategy", "proportional", "proportional, or the `NAME` of an executable hostler-strategy-NAME")
	f.StringArrayVar(&nodes, "explain", nil, "say what is decided of `NODE` and why, in place of the plan; may be given several times")
	_ = cmd.RegisterFlagCompletionFunc("strategy", cobra.FixedCompletions([]string{"proportional"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagFilename("input", "json", "jsonl")
	return cmd
}

// metalPlan decides each line of a file.
func metalPlan(a *cli.App, ctx context.Context, input, decider string, nodes []string) error {
	in, name := a.In, "standard input"
	switch {
	case input == "":
		return fault.Invalid("hostler director plan --input fleet.jsonl", "--input is missing: what is to be decided about?")
	case len(nodes) > 0 && decider != "proportional":
		return fault.Invalid("", "--explain: only the strategy proportional says why")
	case input != "-":
		f, err := os.Open(input)
		if err != nil {
			return &compute.Error{Kind: compute.ErrInvalid, Err: err}
		}
		defer f.Close()
		in, name = f, input
	}
	outside := ""
	if decider != "proportional" {
		path, err := strategy.FindExternal(decider)
		if err != nil {
			return err
		}
		outside = path
	}
	r := bufio.NewReaderSize(in, 1<<20)
	for number := 1; ; number++ {
		line, end := readLine(r, mostPlanned)
		if errors.Is(end, errLongLine) {
			return fault.Invalid(
				"docs/director-metal.md has the form, one object a line", "%s: line %d: %w: more than %d MiB", name,
				number, end, mostPlanned>>20,
			)
		}
		if end != nil && !errors.Is(end, io.EOF) {
			return fmt.Errorf("%s: line %d: %w", name, number, end)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if err := planLine(a, ctx, line, outside, nodes); err != nil {
				return lineError(name, number, err)
			}
		}
		if end != nil {
			return nil
		}
	}
}
