package selfcmd

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/packaging"
)

// NewDocs returns the command that writes documentation of the commands.
func NewDocs(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "docs", Short: "Write documentation made of the commands themselves", Hidden: true,
		Example: "  hostler docs man dist/man",
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "man DIR",
		Short:   "Write a man page for each command",
		Example: "  hostler docs man dist/man",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return manPages(cmd.Root(), args[0]) },
	})
	cmd.AddCommand(&cobra.Command{
		Use:     "crds [DIR]",
		Short:   "Write the kinds of Kubernetes' objects that a controller reads",
		Long:    "Write the CustomResourceDefinitions of the objects that a controller reads where hostler.conf has a section [resources]: as one text, or as files in a directory.",
		Example: "  hostler docs crds | kubectl apply -f -",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := fs.Glob(packaging.Kinds, "helm/hostler/crds/*.yaml")
			for _, name := range files {
				text, e := packaging.Kinds.ReadFile(name)
				if err = e; err == nil && len(args) > 0 {
					err = os.WriteFile(filepath.Join(args[0], filepath.Base(name)), text, 0o644)
				} else if err == nil {
					_, err = fmt.Fprintf(a.Out, "---\n%s", text)
				}
				if err != nil {
					return err
				}
			}
			return err
		},
	})
	return cmd
}
