package chroot

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/provider"
)

// imageName is the image that an instance is made from; "": the base.
func (p *Provider) imageName(name string) string {
	return image.InHome(cmp.Or(name, p.o.Image), p.o.Home)
}

func (p *Provider) store() (*image.Store, error) {
	if p.o.Images == "" {
		return nil, &compute.Error{Op: "chroot", ID: compute.ID(p.o.Source), Kind: compute.ErrUnavailable,
			Err:  errors.New("there is no store of images"),
			Hint: "set HOME or XDG_CACHE_HOME, in whose directory it is"}
	}
	return image.Open(p.o.Images, image.Options{Registry: p.o.Registry, Limits: p.o.ImageLimits, Others: p.o.Others})
}

// chooseImage decides on the content of an instance's image, for good, and records it before it is
// used. The store keeps the image until the instance's directory is gone.
func (p *Provider) chooseImage(ctx context.Context, own *instanceRecord) error {
	layer := p.layer(own)
	if len(own.Layers) > 0 && layer == own.Layer {
		return nil
	}
	if len(own.Layers) == 0 {
		if err := p.at("image"); err != nil {
			return err
		}
		store, err := p.store()
		if err != nil {
			return err
		}
		img, err := store.Take(ctx, own.Image, p.home(compute.ID(own.ID)), image.PullOptions{})
		if err != nil {
			return err
		}
		if img.Digest != "" && !img.Owners {
			return &compute.Error{Op: "chroot.Create", ID: compute.ID(own.ID), Kind: compute.ErrInvalid,
				Err:  fmt.Errorf("image %s: its files lost their owners when it was pulled", own.Image),
				Hint: "hostler image remove it, and pull it as root"}
		}
		own.Digest, own.Layers = img.Digest, img.Dirs()
	}
	own.Layer = layer
	if err := p.at("choose"); err != nil {
		return err
	}
	return p.homes.Write(*own)
}

// Snapshot makes an image of a chroot. If the chroot is made from an image by overlay, the new
// image has that one's layers and its writes as one more. Else it has the whole tree as one layer.
// All processes of the chroot are ended first.
func (p *Provider) Snapshot(ctx context.Context, id compute.ID, spec provider.ImageSpec) (string, error) {
	l, own, err := p.homes.Lock(ctx, id)
	if err != nil {
		return "", fault("Snapshot", id, err)
	}
	defer l.Close()
	name, err := p.snapshot(ctx, id, own, spec)
	return name, fault("Snapshot", id, err)
}

// snapshot ends the instance's processes and removes its mounts before it commits. ErrNotReady
// says that the instance was not made completely.
func (p *Provider) snapshot(ctx context.Context, id compute.ID, own instanceRecord, spec provider.ImageSpec) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(p.home(id), "done"), &st); err != nil {
		return "", &compute.Error{Kind: compute.ErrNotReady, Err: errors.New("it is not made yet")}
	}
	store, err := p.store()
	if err != nil {
		return "", err
	}
	if _, err := p.down(ctx, id); err != nil {
		return "", err
	}
	if err := p.at("commit"); err != nil {
		return "", err
	}
	c := image.Change{Owners: true, Skip: provider.MachineOwn, Labels: spec.Labels}
	switch {
	case own.Layer == "copy":
		c.Dir = p.root(id)
	case own.Digest != "":
		c.Base, c.Dir = own.Digest, filepath.Join(p.home(id), "upper")
	default:
		if c.Dir, err = p.shown(id, own); err != nil {
			return "", err
		}
		defer func() { _ = unmountAll(c.Dir, nil) }()
	}
	img, err := store.Commit(ctx, c, spec.Name)
	return img.Name, err
}

// shown mounts an instance's tree to be read. Destroy unmounts it at the latest.
func (p *Provider) shown(id compute.ID, own instanceRecord) (string, error) {
	at := filepath.Join(p.home(id), "shown")
	if err := unmountAll(at, nil); err != nil {
		return "", err
	}
	if err := unix.Mkdir(at, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
		return "", &fs.PathError{Op: "mkdir", Path: at, Err: err}
	}
	all := own.lowerDirs()
	all.dirs = append([]string{filepath.Join(p.home(id), "upper")}, all.dirs...)
	return at, mountOverlay(all, "", "", at)
}

// ImageDigest returns the digest of the content that an image's name stands for in the store. The
// digest of a base is of the names, sizes and times of change of its files: a base that is touched
// is another one.
func (p *Provider) ImageDigest(ctx context.Context, name string, fetch bool) (string, error) {
	if name = p.imageName(name); name == "" {
		digest, err := p.baseDigest(ctx)
		return digest, fault("ImageDigest", compute.ID(p.o.Source), err)
	}
	store, err := p.store()
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
		return "", &compute.Error{Op: "chroot.ImageDigest", ID: compute.ID(p.o.Source), Kind: compute.ErrInvalid,
			Err:  fmt.Errorf("its image is the directory %s, which may change at any time", name),
			Hint: "make it the base, or hostler image export " + name + " FILE.tar, hostler image import FILE.tar NAME, and image = NAME"}
	}
	return img.Digest, store.Touch(img.Digest)
}

// baseDigest hashes what describe says of each file of the base, not the files' content. The
// prefix "base:" tells the digest from an image's.
func (p *Provider) baseDigest(ctx context.Context) (string, error) {
	fi, err := p.baseInfo()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	if !fi.IsDir() {
		if err := describe(sum, p.o.Base, ""); err != nil {
			return "", err
		}
		return "base:" + hex.EncodeToString(sum.Sum(nil)), nil
	}
	err = filepath.WalkDir(p.o.Base, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		return describe(sum, path, path[len(p.o.Base):])
	})
	return "base:" + hex.EncodeToString(sum.Sum(nil)), err
}

// describe writes what tells one state of a file from another. Any change of a file changes the
// time of its inode, which no user can set.
func describe(w io.Writer, path, name string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	_, err := fmt.Fprintf(w, "%q %d %d %d %d %d %d %d\n", name, st.Ino, st.Mode, st.Uid, st.Gid, st.Size, st.Mtim.Nano(), st.Ctim.Nano())
	return err
}
