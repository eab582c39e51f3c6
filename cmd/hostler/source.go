package main

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
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

func newSource(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "source",
		Short:   "List, show and test sources",
		Example: "  hostler source list\n  hostler source test web",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	one := func(use, short, long, example string, run func(context.Context, string) error) {
		cmd.AddCommand(&cobra.Command{
			Use: use, Short: short, Long: long, Example: example, Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeSources,
			RunE: func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), args[0]) },
		})
	}
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List the sources that are configured",
		Long:    "List the sources that are configured: here, or at the controller that commands ask where that has a configuration of its own.",
		Example: "  hostler source list", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.sourceList(cmd.Context()) },
	})
	one(
		"show SOURCE", "Show how a source is configured",
		"Show how a source is configured. Of a controller's that has a configuration of its own it is what the controller tells.",
		"  hostler source show web", a.sourceShow,
	)
	one("test SOURCE", "Take an instance, run a command on it, discard it: timed",
		"Take an instance of a source (one is made where none is ready), connect to it, run `true` on it, and discard it, each timed.\nA source that is paused after failures is tried anew.",
		"  hostler source test web", a.sourceTest)
	return cmd
}

func (a *app) sourceList(ctx context.Context) error {
	far, err := a.elsewhere(ctx)
	if err != nil {
		return err
	}
	views := []configuredView{}
	var rows [][]string
	if far {
		all, err := a.farSources(ctx)
		if err != nil {
			return err
		}
		for _, s := range all {
			views = append(views, configuredView{Name: s.Name, Type: s.Type, Shadowed: []string{}, Error: text(s.Broken)})
			rows = append(rows, []string{s.Name, s.Type, "controller", term.Line(text(s.Broken))})
		}
		return a.listSources(views, rows)
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return err
	}
	for _, s := range cfg.Sources {
		wrong := text(faultOf(s))
		if _, known := host.Kinds()[s.Type]; !known && s.Type != "pool" && wrong == "" {
			if _, err := exec.Find("", s.Type); err != nil {
				wrong = term.ErrorText(err)
			}
		}
		views = append(views, configuredView{s.Name, s.Type, s.File, s.Applied, append([]string{}, s.Shadowed...), wrong})
		rows = append(rows, []string{s.Name, s.Type, comesFrom(s), term.Line(wrong)})
	}
	return a.listSources(views, rows)
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

func (a *app) listSources(views []configuredView, rows [][]string) error {
	if a.JSON {
		return a.PrintJSON(views)
	}
	return term.Table(a.Out, []string{"source", "type", "from", "error"}, rows)
}

func (a *app) configured(name string) (*config.Source, error) {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return nil, err
	}
	s, err := cfg.Source(name)
	if err != nil {
		names := make([]string, len(cfg.Sources))
		for i, s := range cfg.Sources {
			names[i] = s.Name
		}
		return nil, unknownSource(name, names)
	}
	return s, nil
}

func (a *app) sourceShow(ctx context.Context, name string) error {
	if far, err := a.elsewhere(ctx); err != nil {
		return err
	} else if far {
		return a.showFar(ctx, name)
	}
	s, err := a.configured(name)
	if err != nil {
		return err
	}
	v := sourceDetail{
		configuredView: configuredView{s.Name, s.Type, s.File, s.Applied, append([]string{}, s.Shadowed...), text(faultOf(s))},
		Reserve:        s.Reserve, Spare: s.Spare, Max: s.Maximum, Concurrency: s.Concurrency, Digest: s.Digest, Sources: s.Sources,
		Keys: map[string]string{}, Hooks: s.Hooks,
	}
	for key, value := range s.Values {
		v.Keys[key] = config.Shown(key, value.Text)
	}
	if a.JSON {
		return a.PrintJSON(v)
	}
	for _, line := range oddities(s) {
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
		if err := a.showHooks(event, s.Hooks[event]); err != nil {
			return err
		}
	}
	return nil
}

// showHooks lists what a hook directory would run, and what looks as if it was meant to and will
// not.
func (a *app) showHooks(event, dir string) error {
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

func (a *app) sourceTest(ctx context.Context, name string) error {
	far, err := a.elsewhere(ctx)
	if err == nil && far {
		_, err = a.farSource(ctx, name)
	} else if err == nil {
		_, err = a.configured(name)
	}
	if err != nil {
		return err
	}
	a.Host.Now = true
	engine, err := a.engine(ctx)
	if err != nil {
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	if s, err := a.configured(name); err == nil && !far && !a.Quiet {
		a.warnOfHooks(name)
		for _, line := range oddities(s) {
			_ = term.Printf(a.Err, "%s: warning: %s\n", a.Program, line)
		}
	}
	res, err := engine.Test(ctx, name)
	if err == nil {
		err = a.atRest(ctx, engine, slices.Compact([]compute.ID{res.Instance, res.Leaf}))
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

// defaultSource is where computers come from when nobody says: the source that needs nothing.
var defaultSource = map[bool]string{true: "sandbox", false: "local"}[runtime.GOOS == "linux"]
