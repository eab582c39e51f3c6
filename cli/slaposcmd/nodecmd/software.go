package nodecmd

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/service"
)

func newSoftware(s *session.Session) *cobra.Command {
	o, all := service.SoftwareOptions{}, false
	cmd := newNodeCommand(s, &cobra.Command{
		Use:   "software",
		Short: "Build and remove software releases, as the master wants",
		Long: `Make one pass over the software releases of this computer: build those that are wanted and not there, remove those that are wanted no more, and tell the master. Each is in a directory of its own below
software_root, whose owner, who must not be root, builds it. One that fails does not keep the others from being built.

A URL that begins with bundle: or oci://, that ends in .tar, .tar.gz, .tgz or .tar.zst, and the path of a directory, are releases of the lighter kind; any other is a profile of buildout, for which the option
buildout of [slapos], or buildout on PATH, is the program that bootstraps.

Exit status: 0 all is as it is wanted, 1 a release failed, 10 another such pass runs.`,
		Example: "  hostler slapos node software\n  hostler slapos node software --only https://software.example/demo/software.cfg --force",
		Args:    cobra.NoArgs,
	}, service.SoftwarePass, func(ctx context.Context, n *service.Node, _ []string) error {
		o.Force = o.Force || all
		return runSoftware(ctx, s, n, o)
	})
	f := cmd.Flags()
	f.BoolVar(&o.Debug, "buildout-debug", false, "have buildout say more of what fails")
	f.BoolVar(&o.Collect, "garbage-collect", false, "remove what is no release of this computer")
	f.BoolVar(&o.Force, "force", false, "build also what is there")
	f.BoolVar(&all, "all", false, "the same, by its older name")
	f.StringSliceVar(&o.Only, "only-sr", nil, "pass over all but `URL`s, or the names of their directories; commas between")
	f.StringSliceVar(&o.Only, "only", nil, "the same, in short: `URL`s")
	cmd.MarkFlagsMutuallyExclusive("only", "only-sr")
	return cmd
}

// runSoftware makes a pass and says what came of it.
func runSoftware(ctx context.Context, s *session.Session, n *service.Node, o service.SoftwareOptions) error {
	releases, failed, err := n.Software(ctx, o)
	if s.App.JSON && releases != nil {
		if err := s.App.PrintJSON(releases); err != nil {
			return err
		}
	}
	if err != nil || len(failed) == 0 {
		return err
	}
	s.Log.Warn("Error while processing the following software releases:")
	for _, f := range failed {
		s.Log.Warn("  %s: %s", f.URL, f.Text)
		if e, ok := errors.AsType[*compute.Error](session.Hinted(f.Err)); ok && e.Hint != "" {
			s.Log.Warn("    %s", cli.AsCalled(s.App.Program, e.Hint))
		}
	}
	return term.Exit(1)
}

// prunedView is what `slapos node prune --json` prints.
type prunedView struct {
	Parts   []string `json:"parts"`
	Removed bool     `json:"removed"` // they are; false with --dry-run
}

func newPrune(s *session.Session) *cobra.Command {
	dry, more := false, []string{}
	cmd := newNodeCommand(s, &cobra.Command{
		Use:   "prune",
		Short: "Remove shared parts that no software release uses",
		Long: `Remove what releases built for all of them in the last directory of shared_part_list, and none of them uses any more: no .installed.cfg and no program in bin of a release names it, here or in a node within
a partition, and no other shared part does. No software pass may run meanwhile.

Exit status: 0 done, 1 something could not be read or removed, 10 a software pass runs.`,
		Example: "  hostler slapos node prune --dry-run\n  hostler slapos node prune --additional-software-directory /srv/other/software",
		Args:    cobra.NoArgs,
	}, service.SoftwarePass, func(ctx context.Context, n *service.Node, _ []string) error { return runPrune(ctx, s, n, more, dry) })
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would be removed")
	cmd.Flags().StringArrayVar(&more, "additional-software-directory", nil, "releases in `DIR` use shared parts too; may be said again")
	_ = cmd.MarkFlagDirname("additional-software-directory")
	return cmd
}

// runPrune removes shared parts that no release uses, and prints them.
func runPrune(ctx context.Context, s *session.Session, n *service.Node, more []string, dry bool) error {
	for i, dir := range more {
		var err error
		if more[i], err = filepath.Abs(dir); err != nil {
			return err
		}
	}
	parts, err := n.Prune(ctx, more, dry)
	if err == nil && s.App.JSON {
		return s.App.PrintJSON(prunedView{append([]string{}, parts...), !dry})
	}
	return err
}

// newLayImage is how a software pass has an image laid out: as the software user.
func newLayImage(s *session.Session) *cobra.Command {
	var where service.FetchRules
	cmd := &cobra.Command{
		Use: "lay-image NAME DIR", Short: "Lay an image out as a software release",
		Example: "  hostler slapos node lay-image debian:12 /opt/slapgrid/new", Hidden: true,
		Args: cobra.ExactArgs(2),
		RunE: s.RunE(func(ctx context.Context, args []string) error {
			return service.LayImage(ctx, args[0], args[1], where, func(line string) { s.Log.Warn("%s", line) })
		}),
	}
	cmd.Flags().StringSliceVar(&where.Allow, "fetch-allow", nil, "fetch from `PLACES` too that are not of the internet")
	cmd.Flags().StringSliceVar(&where.Deny, "fetch-deny", nil, "fetch from none of `PLACES`")
	return cmd
}
