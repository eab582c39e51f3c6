package runcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/remote"
)

func NewCp(a *cli.App) *cobra.Command {
	var recursive, anyones bool
	cmd := &cobra.Command{
		Use:   "cp SRC... DST",
		Short: "Copy files and trees to, from and between instances: NAME:PATH",
		Long: `Copy files, with their modes and times. A side that begins with an instance's or a lease's name and a colon is on that instance; a relative path there
starts where run starts commands: in the current directory on local and in a sandbox of this machine's own root, else in the login directory.
- is standard input or output. A directory as DST keeps the base names. Each file appears whole, by rename; it goes on after one that cannot be
copied, and names it. What comes belongs to whom the commands of run are, as in cp. A file whose destination is a symbolic link goes where the link leads, as that
computer sees it; within a tree, links are replaced. Devices, named pipes and sockets at the destination are neither replaced nor written into. Write ./a:b for a file here with a colon in its name.`,
		Example: "  hostler cp Makefile web-3:\n  hostler cp -r web-3:/var/log/app logs\n  tar c . | hostler cp - web-3:tree.tar",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return Cp(a, cmd.Context(), args[:len(args)-1], args[len(args)-1], recursive, anyones)
		},
		ValidArgsFunction: func(cmd *cobra.Command, p1 []string, toComplete string) (cli.Candidates, cobra.ShellCompDirective) {
			return completeSides(a, cmd, p1, toComplete)
		},
	}
	cmd.Flags().BoolVarP(&recursive, "recursive", "r", false, "copy directories too, and links as links")
	cmd.Flags().BoolVar(&anyones, "any", false, "use the instance whoever has the lease; for administrators")
	return cmd
}

// Cp copies each source to the destination. If a source cannot be copied, the others still are.
func Cp(a *cli.App, ctx context.Context, sources []string, to string, recursive, anyones bool) error {
	for _, side := range append([]string{to}, sources...) {
		if side == "" || strings.HasPrefix(side, ":") { // ./:x is a local file of that name
			return cli.EmptyName(fmt.Sprintf("%q: ", side))
		}
	}
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	c := copies{app: a, engine: engine, anyones: anyones, conns: map[string]compute.Conn{}, here: map[string]string{}}
	defer c.close()
	dst, err := c.side(ctx, to)
	if err != nil {
		return err
	}
	opt := remote.CopyOptions{Recursive: recursive, DstMustBeDir: len(sources) > 1, Stdin: a.In, Stdout: a.Out}
	if info, e := os.Stat(to); len(sources) > 1 && dst.Conn == nil && (e != nil || !info.IsDir()) {
		return fault.Invalid("several files want a directory, which has to be there", "no such directory: %s", to)
	}
	var errs []error
	for _, s := range sources {
		src, err := c.side(ctx, s)
		if err == nil {
			err = onWhich(s, to, src, dst, remote.Copy(ctx, src, dst, opt))
		}
		if err != nil && len(sources) > 1 {
			err = fmt.Errorf("%s: %w", s, err)
		}
		if ctx.Err() != nil {
			return a.Interrupted(err, "what was copied stays; "+s+" is not")
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
