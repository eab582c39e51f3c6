package vm

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/provider/vm/qcow"
)

// An image of the store that a machine is made from has its disk as the one file in this directory,
// as KubeVirt's container disks do.
const diskDir = "disk"

// imageName returns the requested image: the path of a file, or a name of the store's.
func (p *images) imageName(name string) string {
	return image.InHome(cmp.Or(name, p.p.o.Image), p.p.o.Home)
}

func (p *images) store() (*image.Store, error) {
	if p.p.o.Images == "" {
		return nil, &compute.Error{Op: "vm", ID: compute.ID(p.p.o.Source), Kind: compute.ErrUnavailable,
			Err:  errors.New("there is no store of images"),
			Hint: "set HOME or XDG_CACHE_HOME, in whose directory it is, or image to the absolute path of a disk"}
	}
	return image.Open(p.p.o.Images, image.Options{Registry: p.p.o.Registry, Limits: p.p.o.ImageLimits, Others: p.p.o.Others})
}

// takeImage finds the disk of an instance's image once, and pulls the image if it is not here. The
// image is kept until the instance's directory is gone.
func (p *images) takeImage(ctx context.Context, own *instanceRecord) error {
	if own.From == "" || own.Image != "" {
		return nil
	}
	if err := p.p.at("image"); err != nil {
		return err
	}
	store, err := p.store()
	if err != nil {
		return err
	}
	img, err := store.Take(ctx, own.From, p.p.home(compute.ID(own.ID)), image.PullOptions{})
	if err != nil {
		return err
	}
	file, err := diskOf(img.Dirs())
	if err == nil {
		err = alone(file)
	}
	if err != nil {
		return &compute.Error{
			Op: "vm.Create", ID: compute.ID(own.ID), Kind: compute.ErrInvalid,
			Err: fmt.Errorf("image %s: %w", own.From, err), Hint: "docs/vms.md says what an image has to be",
		}
	}
	own.Image, own.Digest = file, img.Digest
	return p.p.homes.Write(*own)
}

// keepImage keeps an image in the store for as long as a directory of ours exists.
func (p *images) keepImage(ctx context.Context, digest, dir string) error {
	if digest == "" {
		return nil
	}
	store, err := p.store()
	if err != nil {
		return err
	}
	return store.Use(ctx, digest, dir)
}

// diskOf finds the one disk in an image's layers, bottom first.
func diskOf(dirs []string) (string, error) {
	for _, layer := range slices.Backward(dirs) {
		dir := filepath.Join(layer, diskDir)
		var st unix.Stat_t
		if err := unix.Lstat(dir, &st); errors.Is(err, unix.ENOENT) {
			continue
		} else if err != nil {
			return "", err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			break
		}
		all, err := os.ReadDir(dir)
		if err != nil {
			return "", err
		}
		if len(all) == 0 { // the directory alone, with its mode
			continue
		}
		if len(all) != 1 || !all[0].Type().IsRegular() {
			return "", fmt.Errorf("there is not just one file in its directory /%s", diskDir)
		}
		return filepath.Join(dir, all[0].Name()), nil
	}
	return "", fmt.Errorf("it is not one of a machine: there is no disk in /%s", diskDir)
}

// alone refuses a disk that refers to other files: its author could name any file of this machine,
// and the guest would read it.
func alone(path string) error {
	below, outside, err := qcow.Leads(path)
	switch {
	case err != nil:
		return err
	case below:
		return errors.New("its disk lies over another file, which is not followed: make one disk of them by `qemu-img convert`")
	case outside:
		return errContent
	}
	return nil
}

var errContent = errors.New("its disk has its content in another file, which is not followed")

// ImageDigest returns the digest of the content that an image's name stands for in the store. A
// file's digest is of its path, size and time of change.
func (p *Provider) ImageDigest(ctx context.Context, name string, fetch bool) (string, error) {
	fail := func(err error) (string, error) { return "", fault("ImageDigest", compute.ID(p.o.Source), err) }
	if name == "" {
		if _, err := p.qemu(); err != nil {
			return fail(err)
		}
	}
	switch name = p.images.imageName(name); {
	case name == "":
		return fail(&compute.Error{
			Kind: compute.ErrInvalid, Err: errors.New("the source names no image"),
			Hint: "set image in its section [vm]",
		})
	case filepath.IsAbs(name):
		if _, err := qcow.Inspect(name); err != nil {
			return fail(imageError("image", name, err))
		}
		var st unix.Stat_t
		if err := unix.Stat(name, &st); err != nil {
			return fail(imageError("image", name, err))
		}
		sum := sha256.Sum256(fmt.Appendf(nil, "%q %d %d %d %d %d", name, st.Dev, st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano()))
		return fmt.Sprintf("file:%x", sum), nil
	}
	store, err := p.images.store()
	if err != nil {
		return fail(err)
	}
	img, err := store.Find(name)
	if fetch && errors.Is(err, compute.ErrNotFound) {
		img, err = store.Pull(ctx, name, image.PullOptions{})
	}
	if err == nil && fetch {
		_, err = diskOf(img.Dirs())
		if err != nil {
			err = &compute.Error{
				Kind: compute.ErrInvalid, Err: fmt.Errorf("image %s: %w", name, err),
				Hint: "docs/vms.md says what an image has to be",
			}
		}
	}
	if err != nil {
		return fail(err)
	}
	return img.Digest, store.Touch(img.Digest)
}
