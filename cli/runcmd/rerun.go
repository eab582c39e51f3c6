package runcmd

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/run/redact"
	"github.com/hostler-project/hostler/run/runlog"
)

func NewRerun(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rerun RUN",
		Short: "Run the same again: the same command and options, in the same directory",
		Long: `Run the command of an earlier run again, with its options, from the directory that it was given in (-C names another). Values of variables are not recorded:
those of -e NAME=VALUE are taken from the environment here, or given once more with -e; secrets are asked for anew by their references.`,
		Example: "  hostler rerun last\n  hostler rerun last -e TOKEN=x",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return rerun(a, cmd.Context(), cmd, args[0])
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, p2 string) (cli.Candidates, cobra.ShellCompDirective) {
			return completeRuns(a, cmd, args, p2)
		},
	}
	cmd.Flags().String("on", "", "run it on the `NAME` of an instance or lease that is yours, in place of where it ran")
	_ = cmd.RegisterFlagCompletionFunc("on", a.CompleteLeased)
	cmd.Flags().StringArrayP("env", "e", nil, "set `NAME=VALUE` there, in place of what was set before; may be repeated")
	return cmd
}

func rerun(a *cli.App, ctx context.Context, cmd *cobra.Command, name string) error {
	rec, err := findRun(name)
	if err != nil {
		return err
	}
	env, err := cmd.Flags().GetStringArray("env")
	if err != nil {
		return err
	}
	on, err := cmd.Flags().GetString("on")
	if err != nil {
		return err
	}
	words, err := againWords(rec, env, on)
	if err != nil {
		return err
	}
	if a.Flags.Dir == "" && rec.Directory != "" {
		if err := os.Chdir(rec.Directory); err != nil {
			return fault.Invalid("-C DIR runs it from another directory", "rerun %s: the directory in which it ran: %w", rec.ID, err)
		}
		_ = os.Unsetenv("PWD")
	}
	var own []string // hostler's options that were given now
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed && f.Name != "env" && f.Name != "on" && f.Name != "directory" {
			own = append(own, "--"+f.Name+"="+f.Value.String())
		}
	})
	root := a.Commands(a)
	root.SetArgs(slices.Concat(own, words))
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	return root.ExecuteContext(ctx)
}

// againWords returns the command line that repeats a run. env are values given now; on is where to
// run, "" for where it was.
func againWords(rec runlog.Record, env []string, on string) ([]string, error) {
	if rec.Verb != "run" && rec.Verb != "shell" {
		return nil, fault.Invalid("", "rerun %s: it was a run of `hostler %s`, which does not run alone", rec.ID, rec.Verb)
	}
	if len(rec.Secrets) > 0 &&
		slices.ContainsFunc(slices.Concat(rec.Args, rec.Flags), func(w string) bool { return strings.Contains(w, redact.Mark) }) {
		return nil, fault.Invalid(
			"hostler runs show "+rec.ID,
			"rerun %s: a secret was among the words of its command line, which are not kept", rec.ID,
		)
	}
	given := map[string]bool{}
	for _, e := range env {
		key, _, _ := strings.Cut(e, "=")
		given[key] = true
	}
	words, script := []string{rec.Verb}, false
	var missing []string
	for _, f := range rec.Flags {
		option, value, _ := strings.Cut(f, "=")
		if option == "--env" {
			if given[value] {
				continue
			}
			if _, set := os.LookupEnv(value); !set && slices.Contains(rec.Env, value) {
				missing = append(missing, value)
			}
		}
		if on != "" && option == "--source" {
			continue
		}
		script = script || option == "--command"
		words = append(words, f)
	}
	if len(missing) > 0 {
		return nil, fault.Invalid(
			"hostler rerun "+rec.ID+" -e "+missing[0]+"=...",
			"rerun %s: no value is kept of %s, and there is none in the environment here", rec.ID,
			strings.Join(missing, ", "),
		)
	}
	for _, e := range env {
		words = append(words, "--env="+e)
	}
	args := rec.Args
	if script { // sh -c STRING [sh WORDS...]
		args = args[min(4, len(args)):]
	}
	target := cmp.Or(on, rec.Target)
	if target != "" {
		words = append(words, target)
	}
	if rec.Verb == "run" && (len(args) > 0 || target == "") {
		words = append(append(words, "--"), args...)
	}
	return words, nil
}
