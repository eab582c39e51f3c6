package sourcecmd

import (
	"fmt"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
)

// configTables prints the configuration for people.
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
