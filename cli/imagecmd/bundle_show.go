package imagecmd

import (
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
)

// bundleShow prints all that is known of one bundle.
func bundleShow(a *cli.App, name string) error {
	set, err := a.Host.Bundles()
	if err != nil {
		return err
	}
	b, err := a.Host.Config().Bundle(name)
	if err != nil {
		return &compute.Error{Kind: compute.ErrNotFound, Err: err}
	}
	v := viewBundle(a, b, set[name])
	if a.JSON {
		return a.PrintJSON(v)
	}
	var args []string
	for _, arg := range set[name].Args {
		args = append(args, arg.Name+" = "+v.Args[arg.Name])
	}
	for _, line := range [][]string{{"bundle", v.Name}, {"description", v.Description}, {"file", v.File},
		{"digest", v.Digest}, {"error", v.Error},
		append([]string{"shadows"}, v.Shadows...), append([]string{"include"}, v.Include...), append([]string{"argument"}, args...),
		append([]string{"key"}, v.Pubkeys...), append([]string{"file"}, v.Files...), append([]string{"script"}, v.Scripts...)} {
		for _, value := range line[1:] {
			if value == "" {
				continue
			}
			if err := term.Printf(a.Out, "%-12s %s\n", line[0]+":", term.Line(value)); err != nil {
				return err
			}
		}
	}
	return nil
}
