package provider

import (
	"context"
	"path"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// ImageSpec is the name and the labels of an image that is made of a computer.
type ImageSpec struct {
	Name   string // as in a registry, with a tag: "localhost/built:0123456789ab"
	Labels map[string]string
}

// Snapshotter is a provider that can make an image of a computer, to make others from.
type Snapshotter interface {
	// Snapshot makes an image of a computer's disk, as after a loss of power, and returns the name
	// for Spec.Image. What tells this computer from others is left out (MachineOwn). The computer
	// is of no further use: as a rule it has ended, and the caller destroys it. The new image
	// replaces an older one of the same name. ErrInvalid: no image can be made of computers of this
	// source.
	Snapshot(ctx context.Context, id compute.ID, spec ImageSpec) (image string, err error)
	// ImageDigest returns a digest of what the name of an image stands for now; "" names the
	// source's image. fetch allows a download; without it, an image that is not here is
	// ErrNotFound. A digest that begins with "sha256:" also names the image. Any other only tells
	// one state of a file or directory from another. ErrInvalid: what the name stands for may
	// change at any time.
	ImageDigest(ctx context.Context, image string, fetch bool) (string, error)
}

// Snapshots make images of a provider's computers.
type Snapshots struct {
	Snapshotter Snapshotter
	// Tag gives an image a further name, and takes that name from an older image: the provider's
	// method TagImage. It is for a provider that keeps its images outside of this machine's image
	// store, such as in a container engine, where an image can have several names.
	Tag func(ctx context.Context, image, as string) error
}

func snapshotsOf(p compute.Provider) (s Snapshots) {
	s.Snapshotter, _ = As[Snapshotter](p)
	if v, ok := As[interface {
		TagImage(ctx context.Context, image, as string) error
	}](p); ok {
		s.Tag = v.TagImage
	}
	return s
}

// MachineOwn reports whether a file, by its path from the root of a computer, belongs to that one
// computer alone: its name and identity, its keys, its temporary files. Images leave such files
// out.
func MachineOwn(name string) bool {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	switch name {
	case "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/machine-id", "var/lib/dbus/machine-id", "var/lib/systemd/random-seed":
		return true
	}
	return strings.HasPrefix(name, "etc/ssh/ssh_host_") || strings.HasPrefix(name, "tmp/")
}
