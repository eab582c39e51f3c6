package sourcecmd

import (
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/check"
)

// configShow prints where the configuration comes from, what is in it, and what is odd in it.
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
