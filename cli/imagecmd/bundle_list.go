package imagecmd

import (
	"fmt"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/config"
)

// bundleView is a bundle in `bundle list` and `bundle show --json`.
type bundleView struct {
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	File        string            `json:"file"`
	Digest      string            `json:"digest,omitempty"`
	Include     []string          `json:"include"`
	Args        map[string]string `json:"args"`
	Files       []string          `json:"files"`
	Scripts     []string          `json:"scripts"`
	Pubkeys     []string          `json:"pubkeys"`
	Shadows     []string          `json:"shadows"`
	Error       string            `json:"error,omitempty"`
}

// viewBundle describes a bundle, by where it is configured and by what is in it.
func viewBundle(a *cli.App, b *config.Bundle, d *bundle.Definition) bundleView {
	v := bundleView{
		Name: b.Name, Description: d.Description, File: b.File, Digest: d.Digest, Include: []string{},
		Args: map[string]string{}, Files: []string{}, Scripts: []string{},
		Pubkeys: term.Listed(d.Pubkeys), Shadows: term.Listed(b.Shadowed), Error: term.TextOf(d.Err),
	}
	for _, i := range d.Include {
		v.Include = append(v.Include, i.Name)
	}
	for _, arg := range d.Args {
		v.Args[arg.Name] = config.Shown(arg.Name, arg.Value)
	}
	for _, f := range d.Files {
		v.Files = append(v.Files, f.Path)
	}
	for _, s := range d.Scripts {
		v.Scripts = append(v.Scripts, s.Name)
	}
	return v
}

// bundleList prints all bundles.
func bundleList(a *cli.App) error {
	set, err := a.Host.Bundles()
	if err != nil {
		return err
	}
	views, rows := []bundleView{}, [][]string{}
	for _, b := range a.Host.Config().Bundles {
		v := viewBundle(a, b, set[b.Name])
		views = append(views, v)
		rows = append(
			rows,
			[]string{b.Name, fmt.Sprint(len(v.Files)), fmt.Sprint(len(v.Scripts)), term.Line(v.Description), term.Line(v.Error)},
		)
	}
	if a.JSON {
		return a.PrintJSON(views)
	}
	return term.Table(a.Out, []string{"bundle", "files", "scripts", "description", "error"}, rows)
}
