package chroot

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/homes"
)

// owner is the marker beside an instance's root.
type owner struct {
	homes.Owner
	Base  string `json:"base"`            // as it was configured when the instance was made
	Layer string `json:"layer,omitempty"` // overlay or copy, once it is decided
	Lower string `json:"lower,omitempty"` // the directory under the layer, once it is decided

	// In place of a base:
	Image  string `json:"image,omitempty"`  // as it was asked for
	Digest string `json:"digest,omitempty"` // what it stood for, once it is decided
	// its directories, bottom first, in the form of overlay with the option userxattr
	Layers []string `json:"layers,omitempty"`
}

// below is what an instance's own layer lies over.
func (o owner) below() below {
	if len(o.Layers) == 0 {
		return below{dirs: []string{o.Lower}}
	}
	dirs := slices.Clone(o.Layers)
	slices.Reverse(dirs)
	return below{dirs, true}
}

// below is a stack of directories, top first.
type below struct {
	dirs []string
	// they are layers of an image, which hide and remove what is below them; else it is one
	// directory
	layers bool
}

// keep says how instances are kept.
func (p *Provider) keep() *homes.Dir[owner] {
	return &homes.Dir[owner]{
		Place: p.o.Dir, Installation: p.o.Installation, Source: p.o.Source, Log: p.log, Trust: p.place, Step: p.at,
		// Nothing is mounted in what was discarded. Yet deleting through a mount would be the end
		// of what is behind it: so look.
		Before: func(path string) error { return unmountAll(path, nil) },
	}
}

func (p *Provider) home(id compute.ID) string { return p.homes.Path(id) }
func (p *Provider) root(id compute.ID) string { return filepath.Join(p.home(id), "root") }

// baseError is a base that cannot be used, for the user to mend.
func baseError(base string, err error) error {
	return &compute.Error{
		Op: "chroot.Create", Kind: compute.ErrInvalid, Err: fmt.Errorf("base %s: %w", base, err),
		Hint: "set base to a directory or tarball with a root file system",
	}
}
