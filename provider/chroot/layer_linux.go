package chroot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// up completes an instance: its layer, mounts and devices. It leaves existing parts as they are, so
// it may be repeated after a kill. The caller has the instance's lock.
func (p *Provider) up(ctx context.Context, own *instanceRecord) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	id := compute.ID(own.ID)
	home, root := p.home(id), p.root(id)
	_, err := os.Lstat(filepath.Join(home, "done"))
	fresh := err != nil
	if fresh && !overlaid(root) {
		choose := p.choose
		if own.Image != "" {
			choose = p.chooseImage
		}
		if err := choose(ctx, own); err != nil {
			return err
		}
	}
	if own.Layer == "copy" {
		if err := p.copied(ctx, home, root, own.lowerDirs()); err != nil {
			return err
		}
	} else if !overlaid(root) {
		if err := p.overlay(ctx, home, root, own); err != nil {
			return err
		}
	}
	if err := p.at("furnish"); err != nil {
		return err
	}
	if err := p.furnish(root); err != nil {
		return err
	}
	if !fresh {
		return nil
	}
	if p.o.Resolv {
		if err := resolv(root); err != nil {
			return fmt.Errorf("resolv.conf: %w", err)
		}
	}
	if err := p.at("done"); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(home, "done"), nil, 0o600)
}

// choose decides on the directories under a new layer, and records them before they are used.
func (p *Provider) choose(ctx context.Context, own *instanceRecord) error {
	l, err := p.baseLock(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	lower, err := p.lower(ctx)
	if err != nil {
		return err
	}
	layer := p.layer(own)
	if lower == own.Lower && layer == own.Layer && own.Base == p.o.Base {
		return nil
	}
	own.Lower, own.Layer, own.Base = lower, layer, p.o.Base
	if err := p.at("choose"); err != nil {
		return err
	}
	return p.homes.Write(*own)
}

// layer is the kind of an instance's layer: overlay or copy.
func (p *Provider) layer(own *instanceRecord) string {
	if p.o.Layer != "auto" {
		return p.o.Layer
	}
	return cmp.Or(own.Layer, "overlay") // until it turns out not to work
}

// overlaid reports whether root is a mounted overlay.
func overlaid(root string) bool {
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	above, err := unix.Open(filepath.Dir(root), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(above)
	return isMount(above, fd, unix.OVERLAYFS_SUPER_MAGIC)
}

// overlay mounts an instance's layer.
func (p *Provider) overlay(ctx context.Context, home, root string, own *instanceRecord) error {
	upper, work := filepath.Join(home, "upper"), filepath.Join(home, "work")
	lower := own.lowerDirs()
	fi, err := lower.look()
	if err != nil {
		return err
	}
	for _, dir := range []string{upper, work, root} {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	// The layer's own directory is the instance's /: it gets the base's mode.
	if err := os.Chmod(upper, fi.Mode().Perm()); err != nil {
		return err
	}
	if err := p.at("mount"); err != nil {
		return err
	}
	err = mountOverlay(lower, upper, work, root)
	if err == nil {
		return nil
	}
	if p.o.Layer == "auto" && !p.written(upper) {
		p.log.Info("no overlay here, so each instance is a copy", "source", p.o.Source, "err", err)
		own.Layer = "copy"
		if err := p.homes.Write(*own); err != nil {
			return err
		}
		if err := os.Remove(root); err != nil {
			return err
		}
		return p.copied(ctx, home, root, own.lowerDirs())
	}
	return &compute.Error{
		Op: "chroot.Connect", ID: compute.ID(own.ID), Kind: compute.ErrFailed, Err: err,
		Hint: "this kernel or file system has no overlays; set layer to copy or auto",
	}
}

// written reports whether a layer has anything in it.
func (p *Provider) written(upper string) bool {
	entries, err := os.ReadDir(upper)
	return err != nil || len(entries) > 0
}

// copied makes an instance's copy of the base, completely or not at all, and mounts it.
func (p *Provider) copied(ctx context.Context, home, root string, lower lowerDirs) error {
	if _, err := os.Lstat(root); err == nil {
		return bindRoot(root)
	}
	half := filepath.Join(home, "root.new")
	if _, err := p.homes.Throw(half); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := p.at("copy"); err != nil {
		return err
	}
	if _, err := lower.look(); err != nil {
		return err
	}
	if err := copyTree(ctx, lower, half); err != nil {
		return err
	}
	if err := p.at("copied"); err != nil {
		return err
	}
	if err := os.Rename(half, root); err != nil {
		return err
	}
	return bindRoot(root)
}

// errGuests means that processes run in a tree that is to be unmounted.
var errGuests = errors.New("processes keep starting in it")

// down ends an instance's processes and takes its mounts away. It finds processes that start in
// between: it detaches no mount that the instance's own processes use, and in the end it looks once
// more. It returns how many processes it ended.
func (p *Provider) down(ctx context.Context, id compute.ID) (int, error) {
	g := p.guests(id)
	defer g.close()
	if err := p.at("kill"); err != nil {
		return 0, err
	}
	n, err := g.kill(ctx)
	if err != nil {
		return n, err
	}
	if err := p.at("unmount"); err != nil {
		return n, err
	}
	for range 100 {
		err := unmountAll(p.home(id), func(at string) error {
			if some, err := g.any(); some || err != nil {
				return cmp.Or(err, errGuests)
			}
			if at == g.root {
				g.hold()
			}
			return p.at("detach")
		})
		if err != nil && !errors.Is(err, errGuests) {
			return n, err
		}
		more, kerr := g.kill(ctx)
		if n += more; kerr != nil || more == 0 && err == nil {
			return n, kerr
		}
	}
	return n, errGuests
}

// guests returns the finder of an instance's processes.
func (p *Provider) guests(id compute.ID) *guests {
	return &guests{root: p.root(id), mark: markVariable + "=" + p.mark(id)}
}
