package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/deploycmd"
	"github.com/hostler-project/hostler/cli/metalcmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy/oldconfig"
)

// oldNames are the programs whose command lines this one takes when called by their names.
var oldNames = []string{"crcache", "deploy-node", "list-nodes", "destroy-node", metalcmd.ArsenalName, cli.SlaposName}

func newCompat(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "compat",
		Short:   "Be called by the names of the programs that hostler takes over from",
		Example: "  hostler compat install ~/bin",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "install DIR",
		Short:   "Make links with the old names to hostler: crcache, deploy-node, list-nodes, destroy-node, arsenal-director, slapos",
		Example: "  hostler compat install ~/bin",
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return compatInstall(a, args[0]) },
	})
	var to string
	imports := &cobra.Command{
		Use:   "import DIR...",
		Short: "Make a configuration of provision's: directories with init(config)",
		Long: `Read configuration directories of provision, in their order, and write a directory of hostler's: hostler.conf, bundles, and secrets in files of their own. No Python runs:
what is literal is read, and what is not is listed with its line, for you to see to.`,
		Example: "  hostler compat import ~/.provision/secrets ./site --to ~/.config/hostler",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return compatImport(a, args, to) },
	}
	imports.Flags().StringVar(&to, "to", "", "write to the directory `DIR`, in which nothing of it is yet")
	_ = imports.MarkFlagDirname("to")
	cmd.AddCommand(imports)
	return cmd
}

// compatImport converts old configuration directories.
func compatImport(a *cli.App, dirs []string, to string) error {
	if to == "" {
		return fault.Invalid("--to ~/.config/hostler", "--to: say where to write it")
	}
	c := &oldconfig.Config{}
	for _, dir := range dirs {
		if err := c.Read(dir); err != nil {
			return err
		}
	}
	files, err := c.Write(to)
	if err != nil {
		return err
	}
	deploycmd.TellOld(a, c, c.Convert())
	for _, f := range files {
		if err := term.Printf(a.Out, "%s\n", f); err != nil {
			return err
		}
	}
	return nil
}

// compatInstall makes the links. What stands there under one of the names and is not a link to a
// hostler is left alone.
func compatInstall(a *cli.App, dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fault.Invalid("", "%v", err)
	}
	for _, name := range oldNames {
		link := filepath.Join(dir, name)
		if to, err := os.Readlink(link); err == nil && (to == self || filepath.Base(to) == filepath.Base(self)) {
			if err := os.Remove(link); err != nil {
				return err
			}
		}
		if err := os.Symlink(self, link); errors.Is(err, fs.ErrExist) {
			return fault.Invalid("remove it first, or choose another directory", "%s is there and is no link to hostler", link)
		} else if err != nil {
			return fmt.Errorf("link %s: %w", link, err)
		}
		if !a.Quiet {
			if err := term.Printf(a.Out, "%s -> %s\n", link, self); err != nil {
				return err
			}
		}
	}
	return nil
}
