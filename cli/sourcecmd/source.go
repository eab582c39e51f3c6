package sourcecmd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host/check"
	"github.com/hostler-project/hostler/host/hook"
	"github.com/hostler-project/hostler/provider/exec"
)

// sourceDetail is what `source show --json` prints; values that could be secrets are not in it.
type sourceDetail struct {
	configuredView
	Reserve     int               `json:"reserve"`
	Spare       int               `json:"spare"`
	Max         int               `json:"max"`
	Concurrency int               `json:"concurrency"`
	Digest      string            `json:"digest"`
	Sources     []string          `json:"sources,omitempty"`
	Keys        map[string]string `json:"keys"`
	Hooks       map[string]string `json:"hooks"`
}

// testView is what `source test --json` prints; seconds.
type testView struct {
	Source   string  `json:"source"`
	Instance string  `json:"instance,omitempty"`
	OK       bool    `json:"ok"`
	Create   float64 `json:"create"`
	Connect  float64 `json:"connect"`
	Run      float64 `json:"run"`
	Discard  float64 `json:"discard"`
	Error    string  `json:"error,omitempty"`
}

func NewSource(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "source",
		Short:   "List, show and test sources",
		Example: "  hostler source list\n  hostler source test web",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	one := func(use, short, long, example string, run func(context.Context, string) error) {
		cmd.AddCommand(&cobra.Command{
			Use: use, Short: short, Long: long, Example: example, Args: cobra.ExactArgs(1), ValidArgsFunction: a.CompleteSources,
			RunE: func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), args[0]) },
		})
	}
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List the sources that are configured",
		Long:    "List the sources that are configured: here, or at the controller that commands ask where that has a configuration of its own.",
		Example: "  hostler source list", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return sourceList(a, cmd.Context()) },
	})
	one(
		"show SOURCE", "Show how a source is configured",
		"Show how a source is configured. Of a controller's that has a configuration of its own it is what the controller tells.",
		"  hostler source show web", func(ctx context.Context, name string) error { return sourceShow(a, ctx, name) },
	)
	one("test SOURCE", "Take an instance, run a command on it, discard it: timed",
		"Take an instance of a source (one is made where none is ready), connect to it, run `true` on it, and discard it, each timed.\nA source that is paused after failures is tried anew.",
		"  hostler source test web", func(ctx context.Context, name string) error { return sourceTest(a, ctx, name) })
	return cmd
}

func sourceList(a *cli.App, ctx context.Context) error {
	far, err := elsewhere(a, ctx)
	if err != nil {
		return err
	}
	views := []configuredView{}
	var rows [][]string
	if far {
		all, err := farSources(a, ctx)
		if err != nil {
			return err
		}
		for _, s := range all {
			views = append(views, configuredView{Name: s.Name, Type: s.Type, Shadowed: []string{}, Error: term.TextOf(s.Broken)})
			rows = append(rows, []string{s.Name, s.Type, "controller", term.Line(term.TextOf(s.Broken))})
		}
		return listSources(a, views, rows)
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return err
	}
	for _, s := range cfg.Sources {
		wrong := term.TextOf(check.FaultOf(s))
		if s.Kind.External && wrong == "" {
			if _, err := exec.Find("", s.Type); err != nil {
				wrong = term.ErrorText(err)
			}
		}
		views = append(views, configuredView{s.Name, s.Type, s.File, s.Applied, append([]string{}, s.Shadowed...), wrong})
		rows = append(rows, []string{s.Name, s.Type, comesFrom(s), term.Line(wrong)})
	}
	return listSources(a, views, rows)
}

// comesFrom says in a word where a source is defined.
func comesFrom(s *config.Source) string {
	switch {
	case s.Applied:
		return "applied"
	case s.File == "":
		return "built in"
	}
	return "file"
}

func listSources(a *cli.App, views []configuredView, rows [][]string) error {
	if a.JSON {
		return a.PrintJSON(views)
	}
	return term.Table(a.Out, []string{"source", "type", "from", "error"}, rows)
}

func sourceShow(a *cli.App, ctx context.Context, name string) error {
	if far, err := elsewhere(a, ctx); err != nil {
		return err
	} else if far {
		return showFar(a, ctx, name)
	}
	s, err := a.Configured(name)
	if err != nil {
		return err
	}
	v := sourceDetail{
		configuredView: configuredView{s.Name, s.Type, s.File, s.Applied, append([]string{}, s.Shadowed...), term.TextOf(check.FaultOf(s))},
		Reserve:        s.Reserve, Spare: s.Spare, Max: s.Maximum, Concurrency: s.Concurrency, Digest: s.Digest, Sources: s.Sources,
		Keys: map[string]string{}, Hooks: s.Hooks,
	}
	for key, value := range s.Values {
		v.Keys[key] = config.Shown(key, value.Text)
	}
	if a.JSON {
		return a.PrintJSON(v)
	}
	for _, line := range check.Oddities(s) {
		if err := term.Printf(a.Err, "%s: warning: %s\n", a.Program, line); err != nil {
			return err
		}
	}
	w := a.Out
	file := s.File
	if s.Applied {
		file = "applied, and shown in " + s.File
	}
	for _, line := range [][2]string{
		{"source", s.Name}, {"type", s.Type}, {"file", file}, {"error", v.Error},
		{"shadows", strings.Join(s.Shadowed, ", ")}, {"digest", s.Digest},
	} {
		if line[1] != "" {
			if err := term.Printf(w, "%-9s %s\n", line[0]+":", term.Line(line[1])); err != nil {
				return err
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(v.Keys)) {
		if err := term.Printf(w, "  %s = %s\n", s.Values[key].Key, term.Line(v.Keys[key])); err != nil {
			return err
		}
	}
	for _, event := range config.Events {
		if err := showHooks(a, event, s.Hooks[event]); err != nil {
			return err
		}
	}
	return nil
}

// showHooks lists what a hook directory would run, and files in it that look like hooks but will
// not run.
func showHooks(a *cli.App, event, dir string) error {
	if dir == "" {
		return nil
	}
	names, skipped, err := hook.List(dir)
	if err != nil {
		return term.Printf(a.Out, "%s: %s\n", event, term.Line(err.Error()))
	}
	if err := term.Printf(a.Out, "%-9s %s\n", event+":", term.Line(strings.Join(names, " "))); err != nil {
		return err
	}
	for _, s := range skipped {
		if s.Warn {
			if err := term.Printf(a.Out, "          %s is not run: %s\n", term.Line(s.Name), s.Why); err != nil {
				return err
			}
		}
	}
	return nil
}

func sourceTest(a *cli.App, ctx context.Context, name string) error {
	far, err := elsewhere(a, ctx)
	if err == nil && far {
		_, err = farSource(a, ctx, name)
	} else if err == nil {
		_, err = a.Configured(name)
	}
	if err != nil {
		return err
	}
	a.Host.Now = true
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	if s, err := a.Configured(name); err == nil && !far && !a.Quiet {
		a.WarnOfHooks(name)
		for _, line := range check.Oddities(s) {
			_ = term.Printf(a.Err, "%s: warning: %s\n", a.Program, line)
		}
	}
	res, err := engine.Test(ctx, name)
	if err == nil {
		err = leasecmd.AtRest(a, ctx, engine, slices.Compact([]compute.ID{res.Instance, res.Leaf}))
	}
	err = a.Interrupted(err, "what was made for it is discarded")
	v := testView{
		Source: name, Instance: string(res.Instance), OK: err == nil,
		Create: res.Create.Seconds(), Connect: res.Connect.Seconds(), Run: res.Run.Seconds(), Discard: res.Destroy.Seconds(),
	}
	if err != nil {
		v.Error = term.ErrorText(err)
	}
	if a.JSON {
		if e := a.PrintJSON(v); e != nil {
			return e
		}
		return err
	}
	if err != nil && res.Instance == "" {
		return err // nothing was timed
	}
	var rows [][]string
	for _, p := range []struct {
		name string
		took time.Duration
	}{{"create", res.Create}, {"connect", res.Connect}, {"run", res.Run}, {"discard", res.Destroy}} {
		rows = append(rows, []string{p.name, fmt.Sprintf("%.3f", p.took.Seconds())})
	}
	if e := term.Table(a.Out, []string{"phase", "seconds"}, rows); e != nil {
		return e
	}
	return err
}
