package software

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/bundle/gotemplate"
	"github.com/hostler-project/hostler/compute"
)

// bundled is the program that runs the scripts of a bundle, in the release's directory; they are
// beside it.
const (
	bundled = ".hostler-scripts/all"
	scripts = ".hostler-scripts"
)

// bundle makes a release of a bundle and its includes. Its files get their paths below the
// release's directory. Then its scripts run there once, one after the other. All files are the
// software user's, whatever owner the bundle says; keys are left out.
func (b *Builder) bundle(ctx context.Context, u *User, name, dir string) error {
	if b.Bundles == nil {
		return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("there are no bundles here, and so not %s", name)}
	}
	set, err := b.Bundles()
	if err != nil {
		return err
	}
	plan, err := set.Plan(ctx, []string{name}, bundle.PlanOptions{GoTemplate: gotemplate.Expand})
	if err != nil {
		return err
	}
	if plan.Secret() {
		return &compute.Error{
			Kind: compute.ErrDenied,
			Err:  fmt.Errorf("the bundle %s holds secrets, and all who use a release may read it", name),
		}
	}
	steps, err := plan.Render(bundle.Facts{"os": runtime.GOOS, "arch": runtime.GOARCH})
	if err != nil {
		return err
	}
	var root *os.Root
	if err := u.as(func() (err error) { root, err = os.OpenRoot(dir); return err }); err != nil {
		return err
	}
	defer root.Close()
	m := &extractor{b: b, root: root, modes: map[string]fs.FileMode{}}
	file := func(name string, mode fs.FileMode, content io.Reader) error {
		return u.as(func() error { return m.file(name, mode, content) })
	}
	all, any := "#!/bin/sh\nset -e\n", false
	for i, s := range steps {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if s.Skip != "" || s.Kind == bundle.KindKey {
			continue
		}
		name, mode := strings.TrimLeft(path.Clean(s.Name), "/"), fs.FileMode(s.Mode).Perm()
		if s.Kind == bundle.KindScript {
			name, mode, any = fmt.Sprintf("%s/%d", scripts, i), 0o755, true
			for _, key := range slices.Sorted(maps.Keys(s.Env)) {
				all += key + "=" + quote(s.Env[key]) + " "
			}
			all += name + "\n"
		} else if !filepath.IsLocal(name) || name == scripts || strings.HasPrefix(name, scripts+"/") {
			return &compute.Error{
				Kind: compute.ErrInvalid,
				Err:  fmt.Errorf("%s of the bundle %s has no place in a release", s.Name, s.Bundle),
			}
		}
		content, err := s.Open() // with our own rights: the bundle is this node's own
		if err != nil {
			return err
		}
		if err := errors.Join(file(name, mode, content), content.Close()); err != nil {
			return err
		}
	}
	if !any {
		return nil
	}
	return file(bundled, 0o755, strings.NewReader(all))
}

// quote is a word for a shell.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
