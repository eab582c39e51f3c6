package usercmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/slapos/cache"
)

// CachedView is one of what `slapos cachelookup … --json` prints.
type CachedView struct {
	Key        string `json:"key"`
	SHA512     string `json:"sha512"`
	Release    string `json:"release,omitempty"`
	Root       string `json:"root,omitempty"`
	Multiarch  string `json:"multiarch,omitempty"`
	OS         string `json:"os,omitempty"`
	OSVersion  string `json:"os_version,omitempty"`
	Codename   string `json:"codename,omitempty"`
	Compatible *bool  `json:"compatible,omitempty"`
	URL        string `json:"url,omitempty"`
	Basename   string `json:"basename,omitempty"`
	Signed     bool   `json:"signed"`
	Verified   bool   `json:"verified"`
}

func NewCacheLookup(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cachelookup",
		Short: "Look up what a binary cache has: builds of software releases, files, Python packages",
		Long: `Look up what the binary cache has that [networkcache] names in the node's file: --cfg, else $SLAPOS_CONFIGURATION, else
/etc/opt/slapos/slapos.cfg. An entry is verified where one of the certificates of signature-certificate-list signed it.

Exit status: 2 where the cache has nothing.`,
		Example: "  hostler slapos cachelookup binary-sr https://software.example/demo/software.cfg",
		Args:    cobra.ArbitraryArgs,
		RunE:    s.Group,
	}
	release := cached{"software release", "download-binary-dir-url",
		[]string{"multiarch", "os", "version", "codename", "compatible?", "verified?"}, func(v *CachedView) []string {
			return []string{v.Multiarch, v.OS, v.OSVersion, v.Codename, yesNo(*v.Compatible), yesNo(v.Verified)}
		}}
	file := cached{"file", "download-dir-url", []string{"url", "sha512", "signed"}, func(v *CachedView) []string {
		return []string{v.URL, v.SHA512, signedWord(v)}
	}}
	pkg := cached{"package", "download-dir-url", []string{"basename", "sha512", "signed"}, func(v *CachedView) []string {
		return []string{v.Basename, v.SHA512, signedWord(v)}
	}}
	cmd.AddCommand(&cobra.Command{
		Use:   "binary-sr URL|MD5",
		Short: "List the builds of a software release, and whether they run here",
		Long: `List the builds of a software release that the binary cache has, by the release's URL or the MD5 sum of it. One is compatible where its architecture and
operating system are those of this machine; for Debian the major version counts alone.

Exit status: 2 where there is none.`,
		Example: "  hostler slapos cachelookup binary-sr https://software.example/demo/software.cfg\n  hostler slapos cachelookup binary-sr 6fcd2a4bbbdce5a1a4ef2c1a6d4bb3f5 --cfg slapos.cfg",
		Args:    cobra.ExactArgs(1),
		RunE: s.RunE(func(ctx context.Context, args []string) error {
			here, err := cache.This(ctx)
			if err != nil {
				return err
			}
			return cacheLookup(ctx, s, release, args[0], cache.ReleaseKey(args[0]), &here)
		}),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (out cli.Candidates, _ cobra.ShellCompDirective) {
			if len(args) == 0 {
				out = s.Releases(cmd, "")
			}
			return out, cobra.ShellCompDirectiveDefault
		},
	}, &cobra.Command{
		Use:               "url URL",
		Short:             "List what the cache has of a file that was downloaded from a URL",
		Long:              "List what the cache has of a file that was downloaded from a URL. Signed is yes, by others (by none of the certificates), or no.\n\nExit status: 2 where there is nothing.",
		Example:           "  hostler slapos cachelookup url https://software.example/demo-1.0.tar.gz",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: s.RunE(func(ctx context.Context, args []string) error {
			return cacheLookup(ctx, s, file, args[0], cache.FileKey(args[0]), nil)
		}),
	}, &cobra.Command{
		Use:               "pypi NAME VERSION",
		Short:             "List what the cache has of a version of a Python package",
		Long:              "List what the cache has of a version of a Python package. Signed is yes, by others (by none of the certificates), or no.\n\nExit status: 2 where there is nothing.",
		Example:           "  hostler slapos cachelookup pypi zc.buildout 3.0.1",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: s.RunE(func(ctx context.Context, args []string) error {
			return cacheLookup(ctx, s, pkg, args[0]+" "+args[1], cache.PackageKey(args[0], args[1]), nil)
		}),
	})
	return cmd
}
