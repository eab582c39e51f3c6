package compatcmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/deploycmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy/oldconfig"
	"github.com/hostler-project/hostler/host/program"
)

// NewCompat returns the command compat, for a program that accepts the command lines of these
// names.
func NewCompat(names []string) func(*cli.App) *cobra.Command {
	return func(a *cli.App) *cobra.Command { return newCompat(a, names) }
}

// newCompat returns the command that installs the names of former tools.
func newCompat(a *cli.App, names []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "compat",
		Short:   "Be called by the names of the programs that hostler takes over from",
		Example: "  hostler compat install ~/bin",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "install DIR",
		Short:   "Make links with the old names to hostler: " + strings.Join(names, ", "),
		Example: "  hostler compat install ~/bin",
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return installLinks(a, args[0], names) },
	})
	var to string
	imports := &cobra.Command{
		Use:   "import DIR...",
		Short: "Make a configuration of provision's: directories with init(config)",
		Long: `Read configuration directories of provision, in their order, and write a directory of hostler's: hostler.conf, bundles, and secrets in files of their own. No Python runs:
literal values are read; the others are listed with their lines, for you to convert.`,
		Example: "  hostler compat import ~/.provision/secrets ./site --to ~/.config/hostler",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return importOld(a, args, to) },
	}
	imports.Flags().StringVar(&to, "to", "", "write to the directory `DIR`, in which nothing of it is yet")
	_ = imports.MarkFlagDirname("to")
	cmd.AddCommand(imports)
	return cmd
}

// importOld converts old configuration directories.
func importOld(a *cli.App, dirs []string, to string) error {
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

// installLinks makes the links. It leaves alone files of these names that are not links to a
// hostler.
func installLinks(a *cli.App, dir string, names []string) error {
	self, err := program.Front()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fault.Invalid("", "%v", err)
	}
	for _, name := range names {
		link := filepath.Join(dir, name)
		if to, err := os.Readlink(link); err == nil && slices.Contains([]string{"hostler", program.Whole}, filepath.Base(to)) {
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
