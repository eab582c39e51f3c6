package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/sandbox/gittree"
	"github.com/hostler-project/hostler/provider/sandbox/mask"
)

// hidden is the mask of the host that a sandbox of the host's root has.
type hidden struct {
	mask.Mask
	held   int // a descriptor that keeps the layer from being pruned; -1: none
	mounts []mask.Mount
}

// masks hide the host's secrets from sandboxes of the host's root.
type masks struct {
	o     *Options
	place func() (string, error) // finds the directory of the layers, once
}

// make returns what is hidden of the host, and makes the layer for it unless it exists. Close
// what it is held by.
func (ms *masks) make(ctx context.Context, tree string, near ...string) (*hidden, error) {
	o, err := ms.options(tree, near...)
	if err != nil {
		return nil, err
	}
	mounts := o.Mounts
	if ms.o.without("mask") {
		return &hidden{Mask: mask.Open("/"), held: -1, mounts: mounts}, nil
	}
	place, err := ms.place()
	if err != nil {
		return nil, &compute.Error{Kind: compute.ErrUnavailable, Err: err, Hint: advice}
	}
	var m mask.Mask
	held := -1
	for range 10 { // it may be pruned before it is held
		m, err = mask.Make(ctx, place, o)
		if err == nil {
			held, err = mask.Hold(m.Layer)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	var system *fs.PathError
	var key *provider.KeyError
	if errors.As(err, &key) {
		return nil, err
	}
	// the keys are wrong, not the machine
	if err != nil && !errors.As(err, &system) && ctx.Err() == nil {
		err = &compute.Error{Kind: compute.ErrInvalid, Err: err, Hint: "mend hide or show in the source's section [sandbox]"}
	}
	if err != nil {
		return nil, err
	}
	return &hidden{m, held, mounts}, nil
}

// options returns the options of the mask of a sandbox with a working tree.
func (ms *masks) options(tree string, near ...string) (mask.Options, error) {
	mounts, err := mask.Mounts()
	return mask.Options{Home: ms.o.Home, UID: os.Geteuid(), State: ms.o.State, Fresh: fresh, Extra: ms.o.Hide,
		Show: ms.o.Show, Tree: gittree.Dirs(tree),
		Mounts: mounts, Near: near}, err
}

// Reasons tells why a sandbox hides paths of the host. ErrInvalid: its root is not the host's.
func (p *Provider) Reasons(id compute.ID) (*mask.Reasons, error) {
	own, err := p.homes.Read(id)
	if err != nil {
		return nil, fault("Reasons", id, err)
	}
	tree, ok := HostRoot(own.Image)
	if !ok {
		return nil, fault(
			"Reasons", id,
			&compute.Error{Kind: compute.ErrInvalid, Err: errors.New("its root is an image, which nothing is hidden of")},
		)
	}
	o, err := p.masks.options(tree)
	if err != nil {
		return nil, fault("Reasons", id, err)
	}
	r, err := mask.Explain(o)
	return r, fault("Reasons", id, err)
}

// checkTree refuses a tree that contains, or lies in, what sandboxes do not show.
func (ms *masks) checkTree(ctx context.Context, tree share, root bool) error {
	from, err := tree.real(ms.o.State, root)
	if err != nil {
		return err
	}
	h, err := ms.make(ctx, "", from)
	if err != nil {
		return err
	}
	if h.held >= 0 {
		defer unix.Close(h.held)
	}
	for _, r := range h.Rules {
		switch {
		case r.Kind == mask.Apart || slices.Contains(fresh, r.Path):
			continue
		case !below(from, r.Path):
			if _, err := os.Lstat(r.Path); err != nil || !below(r.Path, from) {
				continue
			}
		}
		return &compute.Error{
			Kind: compute.ErrDenied, Err: fmt.Errorf("tree = %s: sandboxes do not show %s", from, r.Path),
			Hint: "a copy of the tree may go along: --sync without --bind; `show` in the source's section [sandbox] shows it",
		}
	}
	return nil
}

// layer returns the part of the layer that goes over a directory of the host, or "".
func (h *hidden) layer(path string) string {
	if h.Layer == "" {
		return ""
	}
	at := filepath.Join(h.Layer, path)
	if fi, err := os.Lstat(at); err != nil || !fi.IsDir() {
		return ""
	}
	return at
}

// hides reports whether a path, or a directory above it, is hidden.
func (h *hidden) hides(path string) bool { return mask.Covers(h.Rules, path) }

// is reports whether there is a rule of that kind for a path.
func (h *hidden) is(path string, kind mask.Kind) bool {
	for _, r := range h.Rules {
		if r.Path == path {
			return r.Kind == kind
		}
	}
	return false
}

// asked reports whether a path, or a directory above it, was asked for by name.
func (h *hidden) asked(path string) bool {
	return slices.ContainsFunc(h.Shown, func(s mask.Shown) bool { return s.Asked && below(path, s.Path) && len(s.Path) >= len(path) })
}

// usualPath lists where every system's programs are.
const usualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// path returns the parts of a PATH of this machine that are shown, in its order, and then
// usualPath.
func (h *hidden) path(said string) string {
	var out []string
	for _, dir := range filepath.SplitList(said) {
		real, err := filepath.EvalSymlinks(dir)
		if err == nil && filepath.IsAbs(dir) && !slices.Contains(out, dir) && h.Shows(real) {
			out = append(out, dir)
		}
	}
	for _, dir := range filepath.SplitList(usualPath) {
		if !slices.Contains(out, dir) {
			out = append(out, dir)
		}
	}
	return strings.Join(out, ":")
}
