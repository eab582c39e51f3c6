package usercmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
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

// cached is a kind of cache entry: what may be looked up, and how it is shown.
type cached struct {
	what    string // its name
	setting string // the setting with its directory
	header  []string
	row     func(v *CachedView) []string
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

// cacheLookup shows what the cache has for a key.
func cacheLookup(ctx context.Context, s *session.Session, c cached, name, key string, here *cache.Platform) error {
	f, err := s.NodeFile("--cfg FILE names it; one with [networkcache] is enough")
	if err != nil {
		return err
	}
	o, err := cacheOptions(s, f, c.setting)
	if err != nil {
		return fault.Invalid("", "%w", err)
	}
	d, err := cache.OpenDirectory(o)
	if err != nil {
		return fault.Invalid("", "%w", f.Fail("networkcache", c.setting, "cannot be used: %v", err))
	}
	defer d.Close()
	s.Log.Note("the key is %s", key)
	entries, odd, err := d.Entries(ctx, key)
	if err != nil {
		return cacheFailure(s, err)
	}
	if odd > 0 {
		s.Log.Warn("%d more of the cache's entries cannot be read.", odd)
	}
	if len(entries) == 0 {
		return s.NotThere("", "the cache has nothing of the %s %q", c.what, name)
	}
	views := make([]CachedView, len(entries))
	for i, e := range entries {
		v := CachedView{Key: key, SHA512: e.SHA512, Release: e.Release, Root: e.Root, Multiarch: e.Multiarch,
			OS: e.OS.ID, OSVersion: e.OS.Version, Codename: e.OS.Codename,
			URL: e.URL, Basename: e.Basename, Signed: e.Signed, Verified: e.Trusted}
		if v.Multiarch == "" {
			v.Multiarch = e.Machine
		}
		if here != nil {
			v.Compatible = new(here.Runs(&e))
		}
		views[i] = v
	}
	if s.App.JSON {
		return s.App.PrintJSON(views)
	}
	rows := make([][]string, len(views))
	for i := range views {
		rows[i] = c.row(&views[i])
	}
	return term.Table(s.App.Out, c.header, rows)
}
