package runcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/remote"
	"github.com/hostler-project/hostler/run/session"
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

// onWhich names the instance in an error of a copy, unless the error is about the local side.
func onWhich(from, to string, src, dst remote.Side, err error) error {
	var e *compute.Error
	if err == nil || errors.As(err, &e) && e.ID != "" || (src.Conn == nil) == (dst.Conn == nil) {
		return err
	}
	side, here := to, src.Path
	if src.Conn != nil {
		side, here = from, filepath.Dir(dst.Path)
	}
	if _, missing := os.Stat(here); missing != nil && here != "-" {
		return err
	}
	name, _, _ := splitSide(side)
	return fmt.Errorf("%s: %w", name, err)
}

// copies has the connections of one cp: one for each instance.
type copies struct {
	app     *cli.App
	engine  cli.Engine
	anyones bool // --any
	conns   map[string]compute.Conn
	// the start of relative paths in sandboxes with this machine's own root
	here map[string]string
}

func (c *copies) close() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

// side parses one side of a copy.
func (c *copies) side(ctx context.Context, s string) (remote.Side, error) {
	name, path, ok := splitSide(s)
	if !ok {
		return remote.Side{Path: s}, nil
	}
	if path == "" {
		path = "."
	}
	conn, ok := c.conns[name]
	if !ok {
		i, _, err := c.engine.Resolve(ctx, name)
		if err != nil {
			return remote.Side{}, err
		}
		who := c.app.Who(ctx, c.engine, name)
		who.Admin = c.anyones
		var way session.Way
		if conn, way, err = (&leasecmd.Backend{App: c.app}).Connect(ctx, who, i); err != nil {
			return remote.Side{}, err
		}
		c.conns[name] = conn
		if way.Shown(ctx) { // where run starts its commands
			if c.here[name], err = os.Getwd(); err != nil {
				return remote.Side{}, fault.Invalid("", "the current directory: %v", err)
			}
		}
	}
	if here := c.here[name]; here != "" && !filepath.IsAbs(path) {
		path = filepath.Join(here, path) + path[len(strings.TrimRight(path, "/")):]
	}
	return remote.Side{Conn: conn, Path: path}, nil
}

// splitSide splits NAME:PATH. A local path has no colon, or a slash before it.
func splitSide(s string) (name, path string, there bool) {
	name, path, there = strings.Cut(s, ":")
	if !there || name == "" || strings.Contains(name, "/") {
		return "", s, false
	}
	return name, path, true
}

// completeSides offers instances with a colon, and leaves files to the shell.
func completeSides(a *cli.App, cmd *cobra.Command, _ []string, toComplete string) (cli.Candidates, cobra.ShellCompDirective) {
	_ = a.Begin(cmd)
	var out cli.Candidates
	for _, c := range a.LeasedCandidates(cmd) {
		name, desc, _ := strings.Cut(c, "\t")
		if strings.HasPrefix(name, toComplete) {
			out = append(out, cobra.CompletionWithDesc(name+":", desc))
		}
	}
	return out, cobra.ShellCompDirectiveNoSpace
}
