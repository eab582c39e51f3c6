package sourcecmd

import (
	"fmt"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/check"
)

func configShow(a *cli.App) error {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return err
	}
	v := configView{
		Roots: []rootView{}, Sources: []configuredView{}, Warnings: []string{},
		Defaults: defaultsView{cli.DefaultSource(a.Host.Kinds), cli.WaitDefault.Seconds()},
	}
	for _, r := range cfg.Roots {
		v.Roots = append(v.Roots, rootView{r.Path, r.Kind, r.Exists, term.TextOf(r.Err)})
	}
	for _, s := range cfg.Sources {
		v.Sources = append(
			v.Sources,
			configuredView{s.Name, s.Type, s.File, s.Applied, append([]string{}, s.Shadowed...), term.TextOf(check.FaultOf(s))},
		)
	}
	v.Projects = []projectView{}
	for _, p := range cfg.Projects {
		v.Projects = append(
			v.Projects,
			projectView{p.Name, p.File, p.Applied, p.Weight, p.Members, p.Groups, append([]string{}, p.Sources...), term.TextOf(p.Err)},
		)
	}
	if cfg.Defaults.Source != "" {
		v.Defaults.Source = cfg.Defaults.Source
	}
	if cfg.Defaults.Wait != nil {
		v.Defaults.Wait = cfg.Defaults.Wait.Seconds()
	}
	for _, w := range cfg.Warnings {
		v.Warnings = append(v.Warnings, w.Error())
	}
	for _, s := range cfg.Sources {
		v.Warnings = append(v.Warnings, host.SkippedHooks(s)...)
		v.Warnings = append(v.Warnings, check.Oddities(s)...)
	}
	v.State, _ = host.StateDir()
	v.Store = host.StoreName(cfg, v.State)
	if a.JSON {
		return a.PrintJSON(v)
	}
	return configTables(a, v)
}

func configTables(a *cli.App, v configView) error {
	var rows [][]string
	for _, r := range v.Roots {
		found := "no"
		if r.Exists {
			found = "yes"
		}
		if r.Error != "" {
			found = term.Line(r.Error)
		}
		rows = append(rows, []string{r.Path, r.Kind, found})
	}
	if err := term.Table(a.Out, []string{"root", "kind", "there"}, rows); err != nil {
		return err
	}
	rows = nil
	for _, s := range v.Sources {
		from := s.File
		if from == "" {
			from = "(there without configuration)"
		}
		rows = append(rows, []string{s.Name, s.Type, from, ""})
		if s.Error != "" {
			rows[len(rows)-1][3] = "broken: " + term.Line(s.Error)
		}
		for _, f := range s.Shadowed {
			rows = append(rows, []string{"", "", f, "shadowed"})
		}
	}
	if err := term.Printf(a.Out, "\n"); err != nil {
		return err
	}
	if err := a.Table([]string{"source", "type", "file", "note"}, rows); err != nil {
		return err
	}
	rows = nil
	for _, p := range v.Projects {
		rows = append(rows, []string{p.Name, fmt.Sprint(len(p.Members), " and ", len(p.Groups), " groups"), p.File, ""})
		if p.Error != "" {
			rows[len(rows)-1][3] = "broken: " + term.Line(p.Error)
		}
	}
	if len(rows) > 0 {
		if err := term.Printf(a.Out, "\n"); err != nil {
			return err
		}
		if err := a.Table([]string{"project", "members", "file", "note"}, rows); err != nil {
			return err
		}
	}
	if err := term.Printf(
		a.Out, "\ndefaults: source %s, wait %vs\nstate: %s\nstore: %s\n", v.Defaults.Source, v.Defaults.Wait, v.State,
		v.Store,
	); err != nil {
		return err
	}
	for _, w := range v.Warnings {
		if err := term.Printf(a.Out, "warning: %s\n", term.Line(w)); err != nil {
			return err
		}
	}
	return nil
}

// danger finds the root of a tree that a user means: its path, or the only one.
func danger(dangers []config.Danger, path string) (config.Danger, error) {
	for _, d := range dangers {
		if d.Root == path || path == "" && len(dangers) == 1 {
			return d, nil
		}
	}
	if path == "" && len(dangers) > 1 {
		return config.Danger{}, fault.Invalid(
			"name one: hostler trust show lists them", "%d roots of trees wait for your word", len(dangers),
		)
	}
	if path == "" {
		return config.Danger{}, fault.Invalid("", "no root of a tree here has anything that needs trust")
	}
	return config.Danger{}, fault.Invalid(
		"go into the tree: hostler -C DIR trust; its root is DIR/.hostler",
		"%s: it is no root that waits for approval and that is read from here", path,
	)
}
