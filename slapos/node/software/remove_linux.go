package software

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/runas"
)

// Remove takes a release away, and ends what still builds it. One that is not there is fine.
func (b *Builder) Remove(ctx context.Context, url string) error {
	if err := b.endLeftoverBuild(ctx, b.Dir(url)); err != nil {
		return err
	}
	next, old := b.tempNames(url)
	return b.discard(b.Dir(url), next, old)
}

// endLeftoverBuild ends what a killed process left building in a release's directory.
func (b *Builder) endLeftoverBuild(ctx context.Context, dir string) error {
	var whose *runas.User
	if u, err := b.user(); err == nil { // else nothing was built here
		whose = u.Run
	}
	n, err := runas.End(ctx, dir, whose)
	if n > 0 {
		b.say("%d processes that an attempt before left in %s were ended.", n, dir)
	}
	return err
}

// Collect removes all unwanted releases: directories with the name and the content of a release. It
// goes on after an error.
func (b *Builder) Collect(ctx context.Context, wanted []string) (removed []string, err error) {
	keep := map[string]bool{}
	for _, url := range wanted {
		keep[filepath.Base(b.Dir(url))] = true
	}
	entries, err := os.ReadDir(b.Root)
	if err != nil {
		return nil, &compute.Error{Op: "software.Collect", Kind: compute.ErrNotFound, Err: err}
	}
	var failed []error
	for _, e := range entries {
		name := strings.TrimPrefix(strings.TrimPrefix(e.Name(), ".new-"), ".old-")
		if !e.IsDir() || len(name) != 32 || strings.Trim(name, "0123456789abcdef") != "" || keep[name] {
			continue
		}
		dir := filepath.Join(b.Root, e.Name())
		if name == e.Name() &&
			!slices.ContainsFunc(
				[]string{profile, record},
				func(f string) bool { _, err := os.Lstat(filepath.Join(dir, f)); return !errors.Is(err, fs.ErrNotExist) },
			) {
			continue
		}
		if ctx.Err() != nil {
			failed = append(failed, context.Cause(ctx))
			break
		}
		b.say("Removing %s, which is of no release that is wanted.", dir)
		if err := errors.Join(b.endLeftoverBuild(ctx, dir), b.discard(dir)); err != nil {
			failed = append(failed, err)
			continue
		}
		removed = append(removed, dir)
	}
	return removed, errors.Join(failed...)
}
