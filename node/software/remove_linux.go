package software

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/proc"
)

// mark is the variable by which what builds a release is known, for who finds it after the death of who started it.
const mark = "HOSTLER_RELEASE"

// Remove takes a release away, and ends what still builds it. One that is not there is fine.
func (b *Builder) Remove(ctx context.Context, url string) error {
	if err := b.quiet(ctx, b.Dir(url)); err != nil {
		return err
	}
	next, old := b.beside(url)
	return b.discard(b.Dir(url), next, old)
}

// quiet ends what a killed process left building in a release's directory.
func (b *Builder) quiet(ctx context.Context, dir string) error {
	for range 20 { // what is ended may have begun something more
		all, err := proc.Find(proc.Marked(mark + "=" + dir))
		if err != nil {
			return &compute.Error{Op: "software.Install", Kind: compute.ErrFailed, Err: err}
		}
		all = slices.DeleteFunc(all, func(h *proc.Handle) bool { return h.Ended() && h.Close() == nil })
		if len(all) == 0 {
			return ctx.Err()
		}
		b.say("Ending %d processes that an attempt before left in %s.", len(all), dir)
		for _, h := range all {
			_ = h.Signal(unix.SIGKILL)
		}
		proc.Wait(ctx, all, 10*time.Second)
		proc.Close(all)
	}
	return &compute.Error{Op: "software.Install", Kind: compute.ErrConflict, Err: fmt.Errorf("what an attempt before left running in %s cannot be ended", dir)}
}

// Collect takes away all releases that nobody wants: directories that are named like one, and have what each one has. It goes on after an error.
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
		if name == e.Name() && !slices.ContainsFunc([]string{profile, record}, func(f string) bool { _, err := os.Lstat(filepath.Join(dir, f)); return !errors.Is(err, fs.ErrNotExist) }) {
			continue
		}
		if ctx.Err() != nil {
			failed = append(failed, context.Cause(ctx))
			break
		}
		b.say("Removing %s, which is of no release that is wanted.", dir)
		if err := errors.Join(b.quiet(ctx, dir), b.discard(dir)); err != nil {
			failed = append(failed, err)
			continue
		}
		removed = append(removed, dir)
	}
	return removed, errors.Join(failed...)
}
