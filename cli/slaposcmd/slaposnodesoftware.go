package slaposcmd

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/compute/fault"
)

// softwarePass says what a software pass is to do.
type softwarePass struct {
	debug, collect, force, all bool
	only                       []string
}

// slaposReleaseView is one of the list that `slapos node software --json` prints.
type slaposReleaseView struct {
	Release   string `json:"release"`
	State     string `json:"state"` // wanted
	Directory string `json:"directory"`
	Completed bool   `json:"completed"`
	Error     string `json:"error,omitempty"`
}

func newSlaposNodeSoftware(s *Slapos) *cobra.Command {
	o := softwarePass{}
	cmd := s.newNodeCommand(&cobra.Command{
		Use:   "software",
		Short: "Build and remove software releases, as the master wants",
		Long: `Make one pass over the software releases of this computer: build those that are wanted and not there, remove those that are wanted no more, and tell the master. Each is in a directory of its own below
software_root, whose owner, who must not be root, builds it. One that fails does not keep the others from being built.

A URL that begins with bundle: or oci://, that ends in .tar, .tar.gz, .tgz or .tar.zst, and the path of a directory, are releases of the lighter kind; any other is a profile of buildout, for which the option
buildout of [slapos], or buildout on PATH, is the program that bootstraps.

Exit status: 0 all is as it is wanted, 1 a release failed, 10 another such pass runs.`,
		Example: "  hostler slapos node software\n  hostler slapos node software --only https://software.example/demo/software.cfg --force",
		Args:    cobra.NoArgs,
	}, passSoftware, func(ctx context.Context, n *NodeCommand, _ []string) error { return n.softwarePass(ctx, o) })
	f := cmd.Flags()
	f.BoolVar(&o.debug, "buildout-debug", false, "have buildout say more of what fails")
	f.BoolVar(&o.collect, "garbage-collect", false, "remove what is no release of this computer")
	f.BoolVar(&o.force, "force", false, "build also what is there")
	f.BoolVar(&o.all, "all", false, "the same, by its older name")
	f.StringSliceVar(&o.only, "only-sr", nil, "pass over all but `URL`s, or the names of their directories; commas between")
	f.StringSliceVar(&o.only, "only", nil, "the same, in short: `URL`s")
	cmd.MarkFlagsMutuallyExclusive("only", "only-sr")
	return cmd
}

// slaposPrunedView is what `slapos node prune --json` prints.
type slaposPrunedView struct {
	Parts   []string `json:"parts"`
	Removed bool     `json:"removed"` // they are; false with --dry-run
}

// pruning says what is pruned.
type pruning struct {
	dry  bool
	more []string // software roots
}

func newSlaposNodePrune(s *Slapos) *cobra.Command {
	o := pruning{}
	cmd := s.newNodeCommand(&cobra.Command{
		Use:   "prune",
		Short: "Remove shared parts that no software release uses",
		Long: `Remove what releases built for all of them in the last directory of shared_part_list, and none of them uses any more: no .installed.cfg and no program in bin of a release names it, here or in a node within
a partition, and no other shared part does. No software pass may run meanwhile.

Exit status: 0 done, 1 something could not be read or removed, 10 a software pass runs.`,
		Example: "  hostler slapos node prune --dry-run\n  hostler slapos node prune --additional-software-directory /srv/other/software",
		Args:    cobra.NoArgs,
	}, passSoftware, func(ctx context.Context, n *NodeCommand, _ []string) error { return n.prune(ctx, o) })
	cmd.Flags().BoolVar(&o.dry, "dry-run", false, "only say what would be removed")
	cmd.Flags().StringArrayVar(&o.more, "additional-software-directory", nil, "releases in `DIR` use shared parts too; may be said again")
	_ = cmd.MarkFlagDirname("additional-software-directory")
	return cmd
}

// newSlaposLayImage is how a software pass has an image laid out: as the software user.
func newSlaposLayImage(s *Slapos) *cobra.Command {
	var where nodeFetch
	cmd := &cobra.Command{
		Use: "lay-image NAME DIR", Short: "Lay an image out as a software release",
		Example: "  hostler slapos node lay-image debian:12 /opt/slapgrid/new", Hidden: true,
		Args: cobra.ExactArgs(2),
		RunE: s.do(func(ctx context.Context, args []string) error {
			guard, err := where.guard(func(line string) { s.Warn("%s", line) })
			if err != nil {
				return err
			}
			return layImage(ctx, args[0], args[1], guard)
		}),
	}
	cmd.Flags().StringSliceVar(&where.allow, "fetch-allow", nil, "fetch from `PLACES` too that are not of the internet")
	cmd.Flags().StringSliceVar(&where.deny, "fetch-deny", nil, "fetch from none of `PLACES`")
	return cmd
}

// networkCache is what buildout is told of the caches that the file's section [networkcache] names,
// as OPTION=VALUE.
func (n *NodeCommand) networkCache() (out []string, err error) {
	for _, key := range []string{
		"signature-private-key-file", "upload-cache-url", "upload-dir-url", "shacache-ca-file", "shacache-cert-file",
		"shacache-key-file", "shadir-ca-file", "shadir-cert-file", "shadir-key-file",
	} {
		value, err := n.File.Text("networkcache", key)
		if err != nil {
			return nil, fault.Invalid("", "%w", err)
		}
		if key == "signature-private-key-file" && n.signatureKey != "" {
			value = n.signatureKey
		}
		if value = strings.TrimSpace(value); value != "" {
			out = append(out, key+"="+value)
		}
	}
	return out, nil
}
