package metalcmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/controller/imagecache"
	"github.com/hostler-project/hostler/director/arsenal"
	"github.com/hostler-project/hostler/provider/ironic"
	"github.com/hostler-project/hostler/text/visible"
)

// importedView is a converted arsenal.conf, in `director import --json`.
type importedView struct {
	Conf     string   `json:"conf"`
	Warnings []string `json:"warnings"`
}

func newDirectorImport(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Print an arsenal.conf as sections of a hostler.conf",
		Long: `Print what an arsenal.conf says as the sections [director.metal], [director.metal.strategy] and [director.metal.scout] of a hostler.conf. Every option of Arsenal's
is known, with what goes without saying. Passwords and tokens are not printed: they are in clouds.yaml or OS_ variables from now on. What has no effect is told
on standard error, and stands in the output as a comment.`,
		Example: "  hostler director import /etc/arsenal/arsenal.conf >> ~/.config/hostler/hostler.conf",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := arsenal.Read(args[0])
			if err != nil {
				return err
			}
			text := c.Hostler()
			if preset := c.Preset(); preset != "" {
				rules, err := presetRules(preset)
				if err != nil {
					return err
				}
				text += rules
			}
			if a.JSON {
				return a.PrintJSON(importedView{text, append([]string{}, c.Warnings...)})
			}
			for _, w := range c.Warnings {
				_ = term.Printf(a.Err, "%s: warning: %s: %s\n", a.Program, term.Line(args[0]), term.Line(w))
			}
			return term.Printf(a.Out, "%s", visible.Block(string(text)))
		},
	}
}

// presetRules are the rules of a preset as sections of hostler.conf, in comments.
func presetRules(preset string) (string, error) {
	images, flavors, err := ironic.Preset(preset)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	line := func(key string, v ...string) {
		for n := range v {
			v[n] = strings.ReplaceAll(v[n], ",", `\x2c`) // a comma separates items
		}
		if text := strings.Join(v, ", "); text != "" {
			fmt.Fprintf(&b, "# %s = %s\n", key, text)
		}
	}
	fmt.Fprintf(&b, "\n# What preset = %s stands for. To have it otherwise take that line away, and these comment signs.\n", preset)
	for n, r := range images {
		fmt.Fprintf(&b, "# [%s%s-%d]\n", imagecache.ImageRules, preset, n+1)
		line("name", r.Name)
		line("visibility", r.Visibility)
		line("properties", r.Properties...)
	}
	for _, r := range flavors {
		fmt.Fprintf(&b, "# [%s%s]\n", imagecache.FlavorRules, r.Name)
		line("properties", r.Properties...)
		if len(r.Properties) == 0 {
			line("name", r.Name) // an empty section is left out
		}
	}
	return b.String(), nil
}
