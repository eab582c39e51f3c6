package compute

import (
	"context"
	"path"
	"strings"
)

// ImageSpec says how an image that is made of a computer is to be called, and what it says of
// itself.
type ImageSpec struct {
	Name   string // as registries have names, with a tag: "localhost/built:0123456789ab"
	Labels map[string]string
}

// Snapshotter is a provider that can make an image of a computer, for others to be made from.
type Snapshotter interface {
	// Snapshot makes an image of a computer, as it would be found after its power was cut and its
	// disk was whole, and returns the name by which Spec.Image asks for it. What tells this
	// computer from others stays out of it (MachineOwn). The computer is of no further use, and is
	// to be destroyed: as a rule it has ended by then. Under a name that has an image already the
	// new one takes its place. ErrInvalid: no image can be made of computers of this source.
	Snapshot(ctx context.Context, id ID, spec ImageSpec) (image string, err error)
	// ImageDigest tells which content the name of an image stands for now; "": that of the source.
	// With fetch it may be brought here for that; without, one that is not here is ErrNotFound.
	// What begins with "sha256:" is a name for the image too; anything else only tells one state of
	// a file or directory from another. ErrInvalid: what it names may change at any time, so nobody
	// can tell.
	ImageDigest(ctx context.Context, image string, fetch bool) (string, error)
}

// ImageTagger is a Snapshotter whose images are not in this machine's store of images but
// elsewhere, such as at a container engine, where they can have further names.
type ImageTagger interface {
	// TagImage gives an image a further name. One that had that name before loses it.
	TagImage(ctx context.Context, image, as string) error
}

// MachineOwn reports whether a file, by its path from the root of a computer, belongs to that one
// computer and to no other that is made from an image of it: its name and identity, its keys, and
// what it kept for a while.
func MachineOwn(name string) bool {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	switch name {
	case "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/machine-id", "var/lib/dbus/machine-id", "var/lib/systemd/random-seed":
		return true
	}
	return strings.HasPrefix(name, "etc/ssh/ssh_host_") || strings.HasPrefix(name, "tmp/")
}
