package runcmd

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
)

// RunOptions are what run and shell can be told.
type RunOptions struct {
	leasecmd.Want
	script     string
	shell      bool // -c was given: script is it
	dir        string
	env        []string
	timeout    term.DurationFlag
	user       string
	stdin      string
	tty        bool
	keep       bool
	keepFailed bool
	any        bool
	detach     bool
	key        string
	many       manyOptions
	report     string
	tree       treeOptions
	stop       <-chan struct{} // when closed, it is as if TERM came
	sync       syncOptions

	scriptFile string
	envFiles   []string
	secrets    []string
	verbose    bool
	forward    bool // standard input, though it is a terminal
	results    resultOptions

	verb  string            // of the record; "": run
	given []string          // the options, for the record
	allow []string          // variables that go along, by hostler.conf
	set   map[string]string // variables by files and secrets; nil: they are not read yet
	hide  []string          // of these, what is not recorded
}

func NewRun(a *cli.App) *cobra.Command {
	var o RunOptions
	cmd := &cobra.Command{
		Use:   "run [INSTANCE | LEASE | SOURCE] [--] [COMMAND [ARG...]]",
		Short: "Run a command on an instance; on a source's name: acquire, run, release",
		Long: `Run COMMAND on an instance that you have acquired, named by its own name or its lease's. With the name of a source, or none, an instance is
acquired for the command and given back after it, whatever happens. Without COMMAND it is a shell.

Arguments arrive as they are given here: no shell takes them apart, unless asked for with -c. Options after COMMAND are the command's; with -- before any
NAME the default source is meant. On local and in a sandbox of this machine's own root, the command starts in the current directory, elsewhere
in the login directory; on local with the whole environment, elsewhere with CI, LANG, LC_* and what -e, --env-file, --secret and hostler.conf name. Signals and the terminal's size
are passed on.

Files that the command makes are brought back by --artifact and --get, and reports of its tests read by --junit: docs/runs.md.

Exit status: that of the command, 128+n if signal n ended it; 121 contact lost, 122 the command went well and a file of --require or --get is missing, 124 --timeout passed, 125 hostler failed before the command began,
126 not executable, 127 not found. --report says which it was.`,
		Example: `  hostler run sandbox -- make test
  hostler run web -e TOKEN -c 'make test | tail'
  hostler run pool --keep --name build -- make
  hostler run build -t -- top
  hostler run pool --key nightly-1204 -- make release`,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, words, err := splitRun(cmd, args)
			if err != nil || cmd.Flags().Changed("help") {
				return errors.Join(err, helpIf(cmd, err == nil))
			}
			if err := o.many.checkZero(cmd); err != nil {
				return err
			}
			o.shell, o.given = cmd.Flags().Changed("command"), givenFlags(cmd)
			return run(a, cmd.Context(), &o, name, words)
		},
		ValidArgsFunction: a.CompleteTargets,
	}
	cmd.Flags().SetInterspersed(false)
	o.Want.Flags(a, cmd)
	o.flags(cmd)
	o.sync.flags(cmd)
	o.sync.bindFlag(cmd)
	cmd.Flags().StringVarP(&o.script, "command", "c", "", "run `STRING` by sh -c on the instance")
	o.tree.flags(cmd)
	cmd.Flags().StringVar(&o.scriptFile, "script", "", "run a copy of `FILE` on the instance; COMMAND's words are its arguments")
	_ = cmd.MarkFlagFilename("script")
	o.results.flags(cmd)
	cmd.Flags().BoolVar(&o.keep, "keep", false, "do not give the instance back: the lease lasts 2 hours, and 30 minutes unused")
	o.many.flags(cmd)
	cmd.Flags().BoolVar(&o.keepFailed, "keep-on-failure", false, "keep the instance if the command fails, and say what to do with it")
	cmd.Flags().BoolVar(
		&o.detach, "detach", false,
		"start the command, print the id of the run, and do not wait; hostler attach goes on with it",
	)
	cmd.Flags().StringVar(
		&o.key, "key", "",
		"run this once, however often it is asked for with `KEY`: the same again is told what came of it, or waits for that; another run with that key is refused. Until a day after its end",
	)
	return cmd
}

func (o *RunOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.dir, "cwd", "", "start in `DIR` on the instance")
	f.StringArrayVarP(&o.env, "env", "e", nil, "set `NAME=VALUE` there, or send the value of NAME here; may be repeated")
	f.StringArrayVar(&o.envFiles, "env-file", nil, "set the variables of `FILE` there, lines of NAME=VALUE; may be repeated")
	f.StringArrayVar(
		&o.secrets, "secret", nil,
		"send the variable `NAME`, or NAME=REFERENCE (env:, file:, command:), whose value is not recorded; may be repeated",
	)
	f.Var(&o.timeout, "timeout", "kill the command after so long")
	f.StringVar(&o.user, "user", "", "run as the user `NAME`")
	f.StringVar(&o.stdin, "stdin", "", "read standard input from `FILE`; none: there is none")
	f.BoolVarP(&o.tty, "tty", "t", false, "run in a terminal, even if standard input and output are none")
	f.BoolVarP(&o.forward, "interactive", "i", false, "send standard input, though it is a terminal and the command has none")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say at the end how long each part took")
	f.BoolVar(&o.any, "any", false, "use the instance whoever has the lease; for administrators")
	f.StringVar(&o.report, "report", "", "write a JSON record of the run to `FILE`")
	_ = cmd.MarkFlagFilename("report")
	_ = cmd.MarkFlagFilename("env-file")
	_ = cmd.MarkFlagFilename("stdin")
}

func NewShell(a *cli.App) *cobra.Command {
	var o RunOptions
	cmd := &cobra.Command{
		Use:     "shell [INSTANCE | LEASE | SOURCE]",
		Short:   "Open a shell on an instance; on a source's name: acquire, shell, release",
		Example: "  hostler shell web-3\n  hostler shell pool",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.verb, o.given = "shell", givenFlags(cmd)
			return run(a, cmd.Context(), &o, cli.First(args), nil)
		},
		ValidArgsFunction: a.CompleteTargets,
	}
	o.Want.Flags(a, cmd)
	o.flags(cmd)
	return cmd
}

// OwnStatuses reports whether a command exits by run's table and not by that of the kinds.
func OwnStatuses(cmd *cobra.Command) bool {
	if f := cmd.Flags().Lookup("sandbox"); f != nil && f.Changed && cmd.Name() == "doctor" {
		return true
	}
	return cmd.Parent() != nil && cmd.Parent().Parent() == nil && slices.Contains([]string{"run", "shell", "rerun"}, cmd.Name())
}

// RunStatus is exitStatus for run and shell.
func RunStatus(err error) int {
	var s term.Exit
	var i *term.Interruption
	switch {
	case errors.As(err, &s):
		return int(s)
	case errors.As(err, &i):
		return i.Status()
	case errors.Is(err, compute.ErrLost):
		return term.ExitLost
	case errors.Is(err, compute.ErrNoCommand):
		return term.ExitNotFound
	case errors.Is(err, compute.ErrNotExecutable):
		return term.ExitNotExec
	}
	return term.ExitNotBegun
}

func helpIf(cmd *cobra.Command, ask bool) error {
	if !ask {
		return nil
	}
	return cmd.Help()
}

// splitRun tells the NAME from the command. Options may stand before and after NAME; what follows
// the command's first word or -- is the command's own.
func splitRun(cmd *cobra.Command, args []string) (name string, words []string, err error) {
	if cmd.ArgsLenAtDash() == 0 || len(args) == 0 {
		return "", args, nil
	}
	if cmd.Flags().Changed("source") {
		return "", args, nil
	}
	if args[0] == "" {
		return "", nil, cli.EmptyName("")
	}
	if err := cmd.Flags().Parse(args[1:]); err != nil {
		return "", nil, cli.FlagError(cmd, err)
	}
	if err := cli.CheckEmpty(cmd, nil); err != nil {
		return "", nil, err
	}
	return args[0], cmd.Flags().Args(), nil
}

// run does what run and shell are for.
func run(a *cli.App, ctx context.Context, o *RunOptions, name string, words []string) (err error) {
	if o.shell {
		words = scriptWords(o.script, words)
	}
	if o.report == "-" {
		return fault.Invalid("a file, or fd:3 with 3>file", "--report -: it would stand between what the command prints")
	}
	if err := leasecmd.CheckKey(o.key); err != nil {
		return err
	}
	if o.key != "" && len(words) == 0 && o.scriptFile == "" {
		return fault.Invalid("-c STRING, or --script FILE, runs more than one", "--key is for a command, and without one this is a shell")
	}
	if o.key != "" && o.many.wanted() {
		return fault.Invalid("give each part a run of its own", "--key is for one run, not with --on or --shards")
	}
	if o.tree.plan {
		return planTree(a, ctx, o, name)
	}
	if o.many.wanted() {
		return runMany(a, ctx, o, name, words)
	}
	return NewRunner(a, Task{Opt: o, Words: words}).whole(ctx, name)
}

// scriptWords is the argument vector of -c STRING: further words are the script's $1 and so on.
func scriptWords(script string, words []string) []string {
	args := []string{"sh", "-c", script}
	if len(words) > 0 {
		args = append(append(args, "sh"), words...)
	}
	return args
}

// claim is how the options want their instance.
func (o *RunOptions) claim() leasecmd.ClaimOptions {
	return leasecmd.ClaimOptions{
		Want: o.Want, Keep: o.keep, KeepFailed: o.keepFailed, Outlives: o.detach, Any: o.any, Describe: o.report != "",
		Raw: o.tty,
	}
}

// input opens what the command reads.
func (o *RunOptions) input(in io.Reader) (io.Reader, func(), error) {
	switch o.stdin {
	case "":
		return in, func() {}, nil
	case "none":
		return nil, func() {}, nil
	}
	f, err := os.Open(o.stdin)
	if err != nil {
		return nil, nil, fault.Invalid("", "--stdin: %v", err)
	}
	return f, func() { f.Close() }, nil
}

// workDir is where the command starts: here on local, else where --cwd or the log-in says.
func (o *RunOptions) workDir(local bool) (string, error) {
	switch {
	case !local:
		return o.dir, nil
	case filepath.IsAbs(o.dir):
		return o.dir, nil
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", fault.Invalid("", "the current directory: %v", err)
	}
	return filepath.Join(wd, o.dir), nil
}
