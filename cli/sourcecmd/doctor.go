package sourcecmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/runcmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/check"
	"github.com/hostler-project/hostler/host/keeper"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/text/units"
	"github.com/hostler-project/hostler/text/visible"
)

// checkTime is the time limit of a check.
const checkTime = 10 * time.Second

// engineTime is the time limit for trying all engines.
const engineTime = 30 * time.Second

// checkView is a line of `doctor`: result is ok, warn, skip or fail.
type checkView struct {
	Result string `json:"result"`
	What   string `json:"what"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
}

func NewDoctor(a *cli.App) *cobra.Command {
	watch := false
	cmd := &cobra.Command{
		Use:   "doctor [INSTANCE | LEASE] | doctor --sandbox [-s SOURCE] -- COMMAND [ARG...]",
		Short: "Say what works on this machine, what does not and why, and how to mend it",
		Long: `Look at this machine, the configuration, the state and each source, and change nothing. A source's provider is opened, what it
needs (image, mounts) is looked for, and its machines are listed where it has any; none is made. Exit status 1 when something fails that is configured here or that everything needs.

With the name of an instance that you have, or with -s of a source whose machines stand there anyway, look at those instead: whether they are reached and how fast, their
system, clock and disk, what the start-up files of a log-in cost, and how run --sync would take a tree there. On a machine behind ssh that puts hostler's agent
into the cache of the user, as --sync does.

With --sandbox, run COMMAND in a sandbox as hostler run does, and tell which files and directories of this machine it looked for that the sandbox hides: which program looked and how, why
it is hidden, and which line of the source shows it. That stands on standard error; with --json it is a document on standard output, and all that the command writes
goes to standard error. The exit status is the command's, and otherwise as that of hostler run.`,
		Example: "  hostler doctor\n  hostler doctor -s web\n  hostler doctor web-3\n  hostler doctor --sandbox -- make test",
		Args: func(cmd *cobra.Command, args []string) error {
			if watch {
				return nil
			}
			return cobra.MaximumNArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			switch {
			case watch:
				return runcmd.DoctorSandbox(a, cmd, args)
			case len(args) > 0 && a.Flags.Source != "":
				return fault.Invalid("", "doctor looks at an instance or at a source, not at both")
			case len(args) > 0:
				checks, err := probeInstance(a, ctx, args[0])
				if err != nil {
					return err
				}
				return toldChecks(a, checks)
			case a.Flags.Source != "":
				if _, err := a.Configured(a.Flags.Source); err != nil {
					return err
				}
				return toldChecks(a, probeSource(a, ctx, a.Flags.Source))
			}
			return doctor(a, ctx)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) (cli.Candidates, cobra.ShellCompDirective) {
			if watch {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return a.CompleteLeased(cmd, args, word)
		},
	}
	a.WithSource(cmd)
	cmd.Flags().BoolVar(&watch, "sandbox", false, "run COMMAND in a sandbox, and tell which hidden paths it looks for")
	return cmd
}

func doctor(a *cli.App, ctx context.Context) error {
	checks := []checkView{
		{"ok", "version", version.Line(), ""},
		{"ok", "types", strings.Join(typeNames(a.Host.Kinds), " ") + ", and each hostler-source-TYPE on PATH", ""},
	}
	checks = append(checks, checkConfig(a)...)
	checks = append(checks, checkController(a, ctx), checkKeeper(a, ctx), checkSSH(), checkGit(ctx))
	checks = append(checks, checkEngines(ctx, a.Host.Kinds)...)
	if a.Host.Config() != nil {
		state := checkState(a, ctx)
		checks = append(checks, state...)
		if state[0].Result == "ok" {
			checks = append(checks, checkSources(a, ctx)...)
		}
	}
	return toldChecks(a, checks)
}

// toldChecks prints the checks. The exit status is 1 if one fails.
func toldChecks(a *cli.App, checks []checkView) error {
	bad := false
	for _, c := range checks {
		bad = bad || c.Result == "fail"
	}
	var err error
	if a.JSON {
		err = a.PrintJSON(checks)
	} else {
		err = term.Printf(a.Out, "%s", visible.Block(checkLines(checks)))
	}
	if err == nil && bad {
		return term.Exit(1)
	}
	return err
}

// checkLines formats the checks for the user: a line for each, and a line below it with what to do.
// A table column for that would be too wide.
func checkLines(checks []checkView) string {
	width := 0
	for _, c := range checks {
		width = max(width, utf8.RuneCountInString(c.What))
	}
	var b strings.Builder
	for _, c := range checks {
		fmt.Fprintf(&b, "%-4s  %-*s  %s\n", c.Result, width, c.What, term.Line(c.Detail))
		if c.Hint != "" {
			fmt.Fprintf(&b, "%*s  hint: %s\n", width+6, "", term.Line(c.Hint))
		}
	}
	return b.String()
}

func checkConfig(a *cli.App) []checkView {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return []checkView{{"fail", "configuration", term.ErrorText(err), "mend the file"}}
	}
	roots := 0
	for _, r := range cfg.Roots {
		if r.Exists {
			roots++
		}
	}
	out := []checkView{{"ok", "configuration", fmt.Sprintf("%d roots, %d sources", roots, len(cfg.Sources)), ""}}
	for _, w := range cfg.Warnings {
		out = append(out, checkView{"warn", "configuration", term.TextOf(w), ""})
	}
	for _, s := range cfg.Sources {
		for _, line := range append(host.SkippedHooks(s), check.Oddities(s)...) {
			out = append(out, checkView{"warn", "configuration", line, ""})
		}
	}
	for _, d := range cfg.NeedsTrust() {
		if !d.Trusted {
			out = append(out, checkView{"warn", "trust", d.Root + " waits for your approval", "hostler trust show"})
		}
	}
	return out
}

// checkState checks whether the state can be used. The first line of the result says so.
func checkState(a *cli.App, ctx context.Context) []checkView {
	dir, err := host.StateDir()
	if err == nil {
		_, err = a.Host.Engine(ctx)
	}
	if err != nil {
		return []checkView{{"fail", "state", term.ErrorText(err), compute.Hint(err)}}
	}
	out := []checkView{{"ok", "state", dir, ""}, {"ok", "store", a.Host.StoreAt(), ""}}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err == nil {
		free := int64(fs.Bavail) * int64(fs.Bsize)
		c := checkView{"ok", "disk", units.FormatSize(free>>20<<20) + " free for the state", ""}
		if free < 100<<20 {
			c.Result, c.Hint = "warn", "make room in "+dir
		}
		out = append(out, c)
	}
	return append(out, checkOthers(dir, a.Host.Store().Installation())...)
}

func checkKeeper(a *cli.App, ctx context.Context) checkView {
	socket, err := cli.KeeperSocket()
	if err != nil {
		return checkView{"warn", "keeper", term.ErrorText(err), compute.Hint(err)}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	st, err := keeper.Ask(ctx, socket)
	switch {
	case errors.Is(err, keeper.ErrNone):
		return checkView{"ok", "keeper", "not running; starts when it is needed, at " + socket, ""}
	case err != nil:
		return checkView{"warn", "keeper", term.ErrorText(err), compute.Hint(err)}
	case st.Error != "":
		return checkView{"warn", "keeper", "its last work: " + st.Error, ""}
	}
	return checkView{"ok", "keeper", fmt.Sprintf("process %d, %d connections", st.PID, len(st.Kept)), ""}
}

func checkSSH() checkView {
	if open := openKeys(); len(open) > 0 {
		return checkView{
			"warn", "ssh", "others may read " + strings.Join(open, ", ") + ": ssh refuses such a key",
			"chmod 600 " + strings.Join(open, " "),
		}
	}
	if os.Getenv("SSH_AUTH_SOCK") != "" {
		return checkView{"ok", "ssh", "an agent is at hand; the program ssh is not needed", ""}
	}
	home, err := host.Home()
	if err != nil {
		return checkView{"warn", "ssh", "no agent, and no home directory with keys", "start an agent: eval $(ssh-agent)"}
	}
	keys, _ := filepath.Glob(filepath.Join(home, ".ssh", "id_*"))
	if len(keys) == 0 {
		return checkView{"warn", "ssh", "no agent and no keys: sources of type ssh will need an IdentityFile", "ssh-keygen"}
	}
	return checkView{"ok", "ssh", "no agent; keys in ~/.ssh", ""}
}

// openKeys names the private keys in ~/.ssh that others may read.
func openKeys() (out []string) {
	home, err := host.Home()
	if err != nil {
		return nil
	}
	keys, _ := filepath.Glob(filepath.Join(home, ".ssh", "id_*"))
	for _, key := range keys {
		if info, err := os.Stat(key); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 &&
			!strings.HasSuffix(key, ".pub") {
			out = append(out, "~/.ssh/"+filepath.Base(key))
		}
	}
	return out
}

// checkGit checks whether run --sync can list a git work tree.
func checkGit(ctx context.Context) checkView {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", "version")
	cmd.WaitDelay = time.Second
	said, err := cmd.Output()
	if err != nil {
		return checkView{
			"warn", "git", "run --sync in a git work tree wants it: " + term.ErrorText(err),
			"install git, or say --sync=dir to send all that is there",
		}
	}
	return checkView{"ok", "git", strings.TrimSpace(string(said)), ""}
}

// checkEngines tries all engines of this machine at once.
func checkEngines(ctx context.Context, kinds provider.Table) []checkView {
	ctx, cancel := context.WithTimeout(ctx, engineTime)
	defer cancel()
	examine := examiners(kinds)
	found := make([][]compute.Finding, len(examine))
	var all sync.WaitGroup
	for i, f := range examine {
		all.Go(func() { found[i] = f(ctx) })
	}
	all.Wait()
	var out []checkView
	for _, f := range slices.Concat(found...) {
		out = append(out, checkView(f))
	}
	return out
}

// checkSources opens each source's provider and asks it for its instances.
func checkSources(a *cli.App, ctx context.Context) []checkView {
	engine, err := a.Host.Engine(ctx)
	if err != nil {
		return nil
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return nil
	}
	var out []checkView
	for _, s := range cfg.Sources {
		out = append(out, checkSource(a, ctx, engine, s))
	}
	all, err := engine.Status(ctx)
	if err != nil {
		return append(out, checkView{"fail", "state", term.ErrorText(err), compute.Hint(err)})
	}
	for _, s := range all {
		if s.Unready != nil {
			out = append(
				out,
				checkView{
					"warn", "source " + s.Name, term.Line(s.Unready.String()),
					"what stood ready before serves as long as it lasts; hostler events " + s.Name + ", hostler source test " + s.Name,
				},
			)
		}
		if s.Orphaned {
			out = append(
				out,
				checkView{
					"warn", "source " + s.Name, "has instances and is not configured so any more",
					"hostler status -v; hostler discard",
				},
			)
		}
	}
	return out
}

func checkSource(a *cli.App, ctx context.Context, engine *pool.Pool, s *config.Source) checkView {
	what := "source " + s.Name
	if err := host.ConfigError(check.FaultOf(s)); err != nil {
		return checkView{"fail", what, term.ErrorText(err), compute.Hint(err)}
	}
	if s.Kind.Pool {
		return checkView{"ok", what, fmt.Sprintf("a pool over %d sources", len(s.Sources)), ""}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	p, err := engine.Provider(ctx, s.Name)
	if err == nil {
		_, err = p.List(ctx)
	}
	note := ""
	// it knows everything that is denied
	if prober, ok := compute.As[compute.Prober](p); ok && (err == nil || errors.Is(err, compute.ErrDenied)) {
		said, wrong := prober.Probe(ctx, compute.Spec{Source: s.Name, Image: s.Image, Flavor: s.Flavor})
		if note = said; err == nil || wrong != nil {
			err = wrong
		}
	}
	if err != nil {
		hint := compute.Hint(err)
		if hint == "" {
			hint = "hostler source test " + s.Name
		}
		return checkView{"fail", what, term.ErrorText(err), hint}
	}
	if s.Kind.External {
		path, _ := exec.LookPath("hostler-source-" + s.Type)
		return checkView{"ok", what, s.Type + ", by " + path, ""}
	}
	if note != "" {
		return checkView{"warn", what, s.Type + ": " + note, ""}
	}
	return checkView{"ok", what, s.Type, ""}
}

// examiners returns functions that try the engines of this machine as this user.
func examiners(kinds provider.Table) []func(context.Context) []compute.Finding {
	all := []func(context.Context) []compute.Finding{
		runcmd.ExamineNetwork,
		func(ctx context.Context) []compute.Finding {
			dir, err := host.CacheDir()
			if err != nil {
				return nil // said elsewhere
			}
			return image.Examine(ctx, filepath.Join(dir, "images"))
		},
	}
	for _, k := range kinds {
		if k.Examine != nil {
			all = append(all, func(ctx context.Context) []compute.Finding { return k.Examine(ctx, host.UserSite()) })
		}
	}
	return all
}

// typeNames lists the types of sources, sorted.
func typeNames(kinds provider.Table) []string {
	names := kinds.Names(func(*provider.Kind) bool { return true })
	slices.Sort(names)
	return names
}
