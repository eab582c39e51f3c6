package usercmd

import (
	"context"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/cache"
)

// cached is a kind of cache entry: what may be looked up, and how it is shown.
type cached struct {
	what    string // its name
	setting string // the setting with its directory
	header  []string
	row     func(v *CachedView) []string
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
