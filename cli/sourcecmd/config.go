package sourcecmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
)

// configView is what `config show --json` prints.
type configView struct {
	Roots    []rootView       `json:"roots"`
	Sources  []configuredView `json:"sources"`
	Projects []projectView    `json:"projects"`
	Defaults defaultsView     `json:"defaults"`
	Warnings []string         `json:"warnings"`
	State    string           `json:"state"`
	Store    string           `json:"store"`
}

// rootView is a directory that configuration is read from.
type rootView struct {
	Path   string `json:"path"`
	Kind   string `json:"kind"`
	Exists bool   `json:"exists"`
	Error  string `json:"error,omitempty"`
}

// configuredView is a source as it is configured.
type configuredView struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	File     string   `json:"file,omitempty"`
	Applied  bool     `json:"applied"`
	Shadowed []string `json:"shadowed"`
	Error    string   `json:"error,omitempty"`
}

// projectView is a project of the controller's.
type projectView struct {
	Name    string            `json:"name"`
	File    string            `json:"file"`
	Applied bool              `json:"applied"`
	Weight  float64           `json:"weight"`
	Members map[string]string `json:"members"`
	Groups  map[string]string `json:"groups"`
	Sources []string          `json:"sources"`
	Error   string            `json:"error,omitempty"`
}

// defaultsView is the section [defaults]; wait in seconds.
type defaultsView struct {
	Source string  `json:"source"`
	Wait   float64 `json:"wait"`
}

func NewConfig(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Show the configuration",
		Example: "  hostler config show",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "show [KEY]",
		Short: "Show where the configuration comes from: roots, which source won, what is shadowed, what is odd",
		Long: `Show the roots in the order in which they count, each source with the file that defines it, files that define the same name and do not count, and
what is odd without breaking anything.

With a KEY of hostler.conf: its value, the file and the line that it comes from, and where else it is said and does not count. KEY is SECTION.KEY, a section, or a key
of any section. What may be a secret is not shown.`,
		Example: "  hostler config show\n  hostler config show deploy.image\n  hostler -C ~/project config show --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return configKey(a, args[0])
			}
			return configShow(a)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, p2 string) (cli.Candidates, cobra.ShellCompDirective) {
			return completeSettings(a, cmd, args, p2)
		},
	})
	return cmd
}
