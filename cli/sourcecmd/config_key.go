package sourcecmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
)

// settingView is a key of hostler.conf, as `config show KEY --json` prints a list of them.
type settingView struct {
	Name     string   `json:"name"`
	Value    string   `json:"value"`
	From     string   `json:"from"`
	Shadowed []string `json:"shadowed"`
	Note     string   `json:"note,omitempty"`
}

// configKey shows the keys of hostler.conf that a name means: SECTION.KEY, a SECTION, or a KEY in
// any section.
func configKey(a *cli.App, name string) error {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return err
	}
	found, known := settingsNamed(a, cfg, name)
	if len(found) == 0 {
		e := &compute.Error{
			ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no hostler.conf says it"),
			Hint: term.DidYouMean(name, known, ""),
		}
		if s, err := cfg.Source(name); err == nil {
			e.Hint = "hostler source show " + s.Name
		}
		return e
	}
	if a.JSON {
		return a.PrintJSON(found)
	}
	var rows [][]string
	for _, v := range found {
		rows = append(rows, []string{term.Line(v.Name), term.Line(v.Value), term.Line(v.From), term.Line(v.Note)})
		for _, f := range v.Shadowed {
			rows = append(rows, []string{"", "", term.Line(f), "shadowed"})
		}
	}
	return a.Table([]string{"key", "value", "from", "note"}, rows)
}

// settingsNamed returns the settings that a name means, and all known names.
func settingsNamed(a *cli.App, cfg *config.Config, name string) (found []settingView, known []string) {
	all := []settingView{}
	for _, s := range cfg.Settings {
		v := settingView{Name: s.Name(), Value: shownSetting(s), From: place(s.Value), Shadowed: []string{}}
		for _, o := range s.Shadowed {
			v.Shadowed = append(v.Shadowed, place(o))
		}
		if v.Name == "defaults.source" && cfg.Defaults.Err != nil {
			v.Note = "waits for hostler trust"
		}
		all = append(all, v)
	}
	for _, v := range []settingView{
		{Name: "defaults.source", Value: cli.DefaultSource(a.Host.Kinds)},
		{Name: "defaults.wait", Value: term.ShortDuration(cli.WaitDefault)},
	} {
		if !slices.ContainsFunc(all, func(o settingView) bool { return o.Name == v.Name }) {
			v.From, v.Shadowed = "(built in)", []string{}
			all = append(all, v)
		}
	}
	fold := func(s string) string { return strings.ReplaceAll(s, "-", "_") } // equal in keys
	name = fold(name)
	for _, v := range all {
		known = append(known, v.Name)
		as := fold(v.Name)
		last := strings.LastIndex(as, ".")
		if as == name || as[:last] == name || as[last+1:] == name {
			found = append(found, v)
		}
	}
	return found, known
}

func place(v config.Value) string { return fmt.Sprintf("%s:%d", v.File, v.Line) }

// shownSetting returns a setting's value without secrets.
func shownSetting(s config.Setting) string {
	if s.Name() == "store.url" || strings.Contains(s.Text, "://") {
		return host.ShownAddress(s.Text)
	}
	return config.Shown(s.Key, s.Text)
}

// completeSettings offers the keys that are set.
func completeSettings(a *cli.App, cmd *cobra.Command, args []string, _ string) (out cli.Candidates, _ cobra.ShellCompDirective) {
	if len(args) > 0 || a.Begin(cmd) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if cfg, err := a.Host.Configuration(); err == nil {
		_, known := settingsNamed(a, cfg, "")
		out = append(out, known...)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
