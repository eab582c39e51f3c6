package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/provider"
)

// Snapshot makes an image of a sandbox: the layers of its own image, and its writes as one more. It
// first ends all processes of the sandbox. It needs upper = disk: writes to memory go with the
// processes.
func (p *Provider) Snapshot(ctx context.Context, id compute.ID, spec provider.ImageSpec) (string, error) {
	home, own, err := p.homes.Lock(ctx, id)
	if err != nil {
		return "", fault("Snapshot", id, err)
	}
	defer home.Close()
	name, err := p.snapshot(ctx, id, own, spec)
	return name, fault("Snapshot", id, err)
}

// snapshot is Snapshot, with the instance's lock held.
func (p *Provider) snapshot(ctx context.Context, id compute.ID, own instanceRecord, spec provider.ImageSpec) (string, error) {
	bad := func(text, hint string) (string, error) {
		return "", &compute.Error{Kind: compute.ErrInvalid, Err: errors.New(text), Hint: hint}
	}
	if _, ok := HostRoot(own.Image); ok {
		return bad(
			"its root is this machine's own, of which no image is made",
			"set image = NAME in the source's section [sandbox]; docs/images.md says which names there are",
		)
	}
	layer := filepath.Join(p.home(id), "layer")
	var st unix.Stat_t
	if err := unix.Lstat(layer, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return bad("what is written in it is not in files of this machine's disk", "upper = disk, and no limit of the disk")
	}
	b, err := p.images.read(id)
	if err != nil {
		return "", err
	}
	if b.Digest == "" {
		return "", errDirectory(own.Image)
	}
	life, made, err := p.readLife(id)
	if err != nil || !made {
		return "", cmp.Or(err, p.ended("Snapshot", id))
	}
	if err := p.at("kill"); err != nil {
		return "", err
	}
	if err := life.kill(ctx); err != nil {
		return "", err
	}
	if err := p.at("commit"); err != nil {
		return "", err
	}
	store, err := p.images.store()
	if err != nil {
		return "", err
	}
	img, err := store.Commit(ctx, image.Change{
		Base: b.Digest, Dir: filepath.Join(layer, "u0"), Owners: p.root, Users: int(st.Uid), Skip: provider.MachineOwn, Labels: spec.Labels,
	}, spec.Name)
	return img.Name, err
}

// ImageDigest returns the digest of the content that an image's name stands for in the store.
func (p *Provider) ImageDigest(ctx context.Context, name string, fetch bool) (string, error) {
	name = image.InHome(cmp.Or(name, p.o.Image, hostImage), p.o.Home)
	if _, ok := HostRoot(name); ok {
		return "", fault("ImageDigest", "", &compute.Error{Kind: compute.ErrInvalid,
			Err:  errors.New("its root is this machine's own, which changes at any time"),
			Hint: "set image = NAME in the source's section [sandbox]; docs/images.md says which names there are"})
	}
	store, err := p.images.store()
	if err != nil {
		return "", err
	}
	img, err := store.Find(name)
	if fetch && errors.Is(err, compute.ErrNotFound) {
		img, err = store.Pull(ctx, name, image.PullOptions{})
	}
	if err != nil {
		return "", err
	}
	if img.Digest == "" {
		return "", fault("ImageDigest", "", errDirectory(name))
	}
	return img.Digest, store.Touch(img.Digest)
}

// errDirectory returns the error for a name that is no image of the store.
func errDirectory(name string) error {
	return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("its image is the directory %s, which may change at any time", name),
		Hint: "hostler image export " + name + " FILE.tar, hostler image import FILE.tar NAME, and image = NAME"}
}
