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
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote"
	"github.com/hostler-project/hostler/run/session"
)

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
	if e != nil && e.ID == "" && errors.Is(err, compute.ErrNotFound) {
		return &compute.Error{Kind: e.Kind, Err: fmt.Errorf("%s: no such file or directory", side), Hint: e.Hint}
	}
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
			if c.here[name], err = term.Directory(); err != nil {
				return remote.Side{}, err
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
