package chroot

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/instancedirs"
)

// instanceRecord is the record beside an instance's root.
type instanceRecord struct {
	instancedirs.Owner
	Base  string `json:"base"`            // as it was configured when the instance was made
	Layer string `json:"layer,omitempty"` // overlay or copy, once it is decided
	Lower string `json:"lower,omitempty"` // the directory under the layer, once it is decided

	// In place of a base:
	Image  string `json:"image,omitempty"`  // as it was requested
	Digest string `json:"digest,omitempty"` // its digest, once it is decided
	// its directories, bottom first, in the form of overlay with the option userxattr
	Layers []string `json:"layers,omitempty"`
}

// lowerDirs returns the directories under an instance's own layer.
func (o instanceRecord) lowerDirs() lowerDirs {
	if len(o.Layers) == 0 {
		return lowerDirs{dirs: []string{o.Lower}}
	}
	dirs := slices.Clone(o.Layers)
	slices.Reverse(dirs)
	return lowerDirs{dirs, true}
}

// lowerDirs is a stack of directories, top first.
type lowerDirs struct {
	dirs []string
	// they are layers of an image, which hide and remove names below them; else it is one directory
	layers bool
}

// keep opens the directory of instances.
func (p *Provider) keep() *instancedirs.Dir[instanceRecord] {
	return &instancedirs.Dir[instanceRecord]{
		Place: p.o.Dir, Installation: p.o.Installation, Source: p.o.Source, Log: p.log, Trust: p.place, Step: p.at,
		// Nothing should be mounted in a discarded directory. But a delete through a mount would
		// delete what is behind it, so look first.
		Before: func(path string) error { return unmountAll(path, nil) },
	}
}

func (p *Provider) home(id compute.ID) string { return p.homes.Path(id) }
func (p *Provider) root(id compute.ID) string { return filepath.Join(p.home(id), "root") }

// baseError is the error for a base that cannot be used, which the user can mend.
func baseError(base string, err error) error {
	return &compute.Error{
		Op: "chroot.Create", Kind: compute.ErrInvalid, Err: fmt.Errorf("base %s: %w", base, err),
		Hint: "set base to a directory or tarball with a root file system",
	}
}
