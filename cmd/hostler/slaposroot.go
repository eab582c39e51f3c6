package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hostler-project/hostler/slap/master"
)

// moveReleases tells a master where local releases are, if that was said, and says which are elsewhere by that. The database is copied before, where it is a file.
func (s *slapos) moveReleases(ctx context.Context, m *master.Master, store master.Store, o *slaposProxy) error {
	if o.root == "" {
		return nil
	}
	root, err := filepath.Abs(o.root)
	if err != nil {
		return err
	}
	from, moved, err := m.SetRoot(ctx, root, master.RootOptions{
		Exists: func(path string) bool { _, err := os.Stat(path); return err == nil },
		Before: func(ctx context.Context, from string) error {
			file, ok := store.(interface {
				Copy(ctx context.Context, path string) error
			})
			if !ok {
				s.warn("Local releases move from %s to %s; of a database that is no file no copy is made", from, root)
				return nil
			}
			path := o.database + "-backup-" + time.Now().UTC().Format("20060102T150405.000Z")
			if err := file.Copy(ctx, path); err != nil {
				return err
			}
			s.say("Local releases move from %s to %s; %s has everything as it was", from, root, path)
			return nil
		},
	})
	if err != nil {
		return err
	}
	for _, url := range slices.Sorted(maps.Keys(moved)) {
		s.note("%s is %s from now on", url, moved[url])
	}
	if len(moved) > 0 {
		s.say("Releases that are not below %s any more: %d", from, len(moved))
	}
	return nil
}
