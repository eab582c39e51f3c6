package imagecmd

import (
	"fmt"
	"strings"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
)

// imageInspect prints all that is known of one image.
func imageInspect(a *cli.App, ref string) error {
	s, err := a.Host.Images()
	if err != nil {
		return err
	}
	img, err := s.Find(ref)
	if err != nil {
		return err
	}
	users, err := s.Users(img.Digest)
	if err != nil {
		return err
	}
	v := viewImage(img, users)
	if a.JSON {
		return a.PrintJSON(v)
	}
	lines := [][2]string{
		{"image", v.Name}, {"digest", v.Digest}, {"manifest", v.Manifest}, {"platform", v.Platform},
		{"size", term.ShortSize(v.Size)}, {"user", v.Config.User},
		{"directory", v.Config.WorkingDir}, {"entrypoint", strings.Join(v.Config.Entrypoint, " ")},
		{"command", strings.Join(v.Config.Cmd, " ")},
		{"ports", strings.Join(v.Config.ExposedPorts, " ")}, {"in use by", strings.Join(v.Users, " ")},
	}
	if !v.Owners {
		lines = append(lines, [2]string{"owners", "all files belong to this user"})
	}
	for _, e := range v.Config.Env {
		lines = append(lines, [2]string{"env", e})
	}
	for _, l := range v.Layers {
		lines = append(lines, [2]string{"layer", strings.TrimSpace(fmt.Sprintf("%8s  %s", term.ShortSize(l.Size), l.Dir))})
	}
	for _, line := range lines {
		if line[1] != "" {
			if err := term.Printf(a.Out, "%-11s %s\n", line[0]+":", term.Line(line[1])); err != nil {
				return err
			}
		}
	}
	return nil
}
