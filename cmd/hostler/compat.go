package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// oldNames are the programs whose command lines this one takes when called by their names.
var oldNames = []string{"crcache", "deploy-node", "list-nodes", "destroy-node"}

func newCompat(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "compat",
		Short:   "Be called by the names of the programs that hostler takes over from",
		Example: "  hostler compat install ~/bin",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "install DIR",
		Short:   "Make links with the old names to hostler: crcache, deploy-node, list-nodes, destroy-node",
		Example: "  hostler compat install ~/bin",
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return a.compatInstall(args[0]) },
	})
	return cmd
}

// compatInstall makes the links. What stands there under one of the names and is not a link to a hostler is left alone.
func (a *app) compatInstall(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return invalid("", "%v", err)
	}
	for _, name := range oldNames {
		link := filepath.Join(dir, name)
		if to, err := os.Readlink(link); err == nil && (to == self || filepath.Base(to) == filepath.Base(self)) {
			if err := os.Remove(link); err != nil {
				return err
			}
		}
		if err := os.Symlink(self, link); errors.Is(err, fs.ErrExist) {
			return invalid("remove it first, or choose another directory", "%s is there and is no link to hostler", link)
		} else if err != nil {
			return fmt.Errorf("link %s: %w", link, err)
		}
		if !a.flags.quiet {
			if err := fprintf(a.out, "%s -> %s\n", link, self); err != nil {
				return err
			}
		}
	}
	return nil
}
