package software

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/image/registry"
	"github.com/hostler-project/hostler/policy/fetch"
	"github.com/hostler-project/hostler/slapos/node/home"
)

const (
	point  = ".hostler-entrypoint" // in the directory of an image: its EntryPoint, as JSON
	rootfs = "rootfs"              // there: its files
	puller = ".images"             // there, while it is pulled: the store of images
)

// An EntryPoint is the program that an image is made for.
type EntryPoint struct {
	Argv []string `json:"argv"`
	Env  []string `json:"env"` // KEY=VALUE
	Dir  string   `json:"dir"`
	// Image is its digest, and Volumes are its directories for lasting data.
	Image   string   `json:"image,omitempty"`
	Volumes []string `json:"volumes,omitempty"`
}

// image lays an image out as a release. It does so by a program of the software user's, so the
// image is read with no more rights than that user has.
func (b *Builder) image(ctx context.Context, u *User, name, dir, of string) error {
	if len(b.Puller) == 0 {
		return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("no images are used here, and so not %s", name)}
	}
	if strings.HasPrefix(name, "-") || name == "" {
		return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("%q is no name of an image", name)}
	}
	at := u.Home
	if at == "" {
		at = dir
	}
	out := &output{log: b.Log}
	err := b.run(
		ctx, u,
		step{dir: dir, of: of, home: at, what: "the pull of image " + name, argv: append(slices.Clone(b.Puller), name, dir)},
		out,
	)
	out.end()
	return err
}

// LayImage pulls an image and lays its files out in a directory, with the files that its programs
// need to run. It is for a process of the software user: see [Builder.Puller]. All users get the
// owner's rights on the image's files, but for writing; programs in it have directories of their
// own. A registry is asked only where the guard, which may be nil, allows it.
func LayImage(ctx context.Context, name, dir string, guard *fetch.Guard) error {
	fail := func(err error) error {
		return &compute.Error{Op: "software.LayImage", Kind: compute.ErrFailed, Err: err}
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fail(err)
	}
	store, err := image.Open(filepath.Join(dir, puller), image.Options{Registry: registry.Client{}, Guard: guard})
	if err != nil {
		return err
	}
	img, err := store.Pull(ctx, name, image.PullOptions{Unsynced: true})
	if err != nil {
		return refused(err)
	}
	c := img.Config
	e := EntryPoint{Argv: append(slices.Clone(c.Entrypoint), c.Cmd...), Env: c.Env, Dir: path.Clean("/" + c.WorkingDir), Image: img.Digest}
	for _, v := range c.Volumes {
		if v = path.Clean("/" + v); v != "/" {
			e.Volumes = append(e.Volumes, v)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fail(err)
	}
	defer root.Close()
	if err := root.Mkdir(rootfs, 0o755); err != nil {
		return fail(err)
	}
	for _, layer := range img.Dirs() {
		if real, err := filepath.EvalSymlinks(layer); err == nil {
			layer = real
		}
		from, err := filepath.Rel(dir, layer)
		if err == nil && !filepath.IsLocal(from) {
			err = fmt.Errorf("%s is a directory already, and can be a release as it is", name)
		}
		if err == nil {
			err = overlayLayer(ctx, root, from, rootfs)
		}
		if err != nil {
			return fail(err)
		}
	}
	// it knows how to be an instance
	if _, err := root.Stat(path.Join(rootfs, entry)); err == nil && !executable(filepath.Join(dir, entry)) {
		text := "#!/bin/sh\nexec \"$(dirname \"$0\")/" + rootfs + "/" + entry + "\"\n"
		if err := root.WriteFile(entry, []byte(text), 0o755); err != nil {
			return fail(err)
		}
		if err := root.Chmod(entry, 0o755); err != nil {
			return fail(err)
		}
	} else if len(e.Argv) == 0 {
		return &compute.Error{
			Op: "software.LayImage", Kind: compute.ErrInvalid,
			Err: fmt.Errorf("the image %s says no program to run, and has no /%s", name, entry),
		}
	}
	text, err := json.Marshal(e)
	if err != nil {
		return fail(err)
	}
	if err := put(filepath.Join(dir, point), append(text, '\n'), 0o644); err != nil {
		return fail(err)
	}
	h, err := home.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(h.Remove(puller), h.Close())
}

// overlayLayer lays a layer's directory over another: files that it hides are removed, its own
// are moved there.
func overlayLayer(ctx context.Context, root *os.Root, from, to string) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := root.Chmod(from, 0o700); err != nil {
		return err
	}
	opaque, err := isOpaque(root, from)
	if err != nil {
		return err
	}
	st, err := root.Lstat(to)
	switch {
	case err == nil && st.IsDir() && !opaque:
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	default:
		if err := errors.Join(root.RemoveAll(to), root.Mkdir(to, 0o755)); err != nil {
			return err
		}
	}
	if err := root.Chmod(to, 0o755); err != nil {
		return err
	}
	d, err := root.Open(from)
	if err != nil {
		return err
	}
	entries, err := d.ReadDir(-1)
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	for _, e := range entries {
		was, is := path.Join(from, e.Name()), path.Join(to, e.Name())
		if e.IsDir() {
			if err := overlayLayer(ctx, root, was, is); err != nil {
				return err
			}
			continue
		}
		if err := root.RemoveAll(is); err != nil {
			return err
		}
		switch {
		case e.Type()&fs.ModeCharDevice != 0: // it was there to hide
			continue
		case e.Type().IsRegular():
			st, err := root.Lstat(was)
			if err != nil {
				return err
			}
			mode := st.Mode().Perm() & 0o755
			mode |= 0o400
			if err := root.Chmod(was, mode|mode&0o500>>3|mode&0o500>>6); err != nil {
				return err
			}
		case e.Type() != fs.ModeSymlink:
			continue
		}
		if err := root.Rename(was, is); err != nil {
			return err
		}
	}
	return nil
}

// isOpaque says whether a layer's directory hides the content of the layers below it.
func isOpaque(root *os.Root, name string) (bool, error) {
	d, err := root.Open(name)
	if err != nil {
		return false, err
	}
	defer d.Close()
	var value [8]byte
	n, err := unix.Fgetxattr(int(d.Fd()), "user.overlay.opaque", value[:])
	return err == nil && n == 1 && value[0] == 'y', nil
}

// EntryPoint is that of a release that is an image and has no program instance; nil of any other.
func (b *Builder) EntryPoint(url string) (*EntryPoint, error) {
	root, err := filepath.EvalSymlinks(b.Dir(url))
	if err != nil {
		return nil, &compute.Error{Op: "software.EntryPoint", Kind: compute.ErrNotFound, Err: err}
	}
	d, err := home.Open(root)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return ReadEntryPoint(d)
}

// ReadEntryPoint is [Builder.EntryPoint] of a release's directory.
func ReadEntryPoint(d *home.Dir) (*EntryPoint, error) {
	if d.Executable(entry) {
		return nil, nil
	}
	text, err := d.Read(point, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	e := &EntryPoint{}
	if err == nil {
		err = json.Unmarshal(text, e)
	}
	if err == nil && len(e.Argv) == 0 {
		err = errors.New("it has no program")
	}
	if err != nil {
		return nil, &compute.Error{
			Op: "software.EntryPoint", Kind: compute.ErrFailed, Err: fmt.Errorf("%s of %s: %w", point, d.Path(), err),
		}
	}
	return e, nil
}

// Script is the program that runs an image's entry point in a partition. Parameters whose names a
// shell takes are in its environment. The process is root of a user name space that holds the
// partition's user alone. It sees the image's files; its writes lie over them, in the partition. It
// needs a kernel that lets users have such name spaces.
//
// These writes belong to one image. When the release becomes another image, they begin anew, but
// its volumes stay. The earlier rest is kept aside until the next such change. The script may be
// killed at any time, and goes on where it was.
//
// It cannot write in place to files of the image, only replace them: they are the software user's.
func (e *EntryPoint) Script(release, partition string, parameters map[string]string) []byte {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	env = append(env, e.Env...)
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range parameters {
			if !yield(name) {
				return
			}
		}
	}) {
		if variable(name) && !strings.ContainsRune(parameters[name], 0) {
			env = append(env, name+"="+parameters[name])
		}
	}
	words := func(all []string) string {
		quoted := make([]string, len(all))
		for i, one := range all {
			quoted[i] = quote(one)
		}
		return strings.Join(quoted, " ")
	}
	inside := `mount -t overlay -o "userxattr,lowerdir=$r,upperdir=$p/upper,workdir=$p/work" overlay "$p/root"
for d in dev proc sys; do mount --rbind "/$d" "$p/root/$d"; done
cd /
exec env -i ` + words(env) + ` "$u" --root="$p/root" --wd=` + quote(e.Dir) + " -- " + words(e.Argv) + "\n"
	return []byte(`#!/bin/sh
# Made by hostler: runs the entry point of an image. What it writes lies in var/image/upper; what was written over another image, and is no volume, in var/image/before.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
r=` + quote(filepath.Join(release, rootfs)) + ` p=` + quote(filepath.Join(partition, "var/image")) + `
u=$(command -v unshare)
image=` + quote(e.Image) + `
mkdir -p "$p"
if [ "$(cat "$p/image" 2>/dev/null)" = "$image" ]; then
	rm -f "$p/moving"
else
	if [ ! -e "$p/moving" ]; then
		if [ -e "$p/upper" ]; then
			[ ! -e "$p/before" ] || { chmod -R u+rwx "$p/before"; rm -rf "$p/before"; }
			mv "$p/upper" "$p/before"
		fi
		: >"$p/moving"
	fi
	for v in ` + words(e.Volumes) + `; do
		if [ -d "$p/before$v" ] && [ ! -e "$p/upper$v" ]; then
			mkdir -p "$p/upper$v"
			rmdir "$p/upper$v"
			chmod u+w "$p/before$v"
			mv "$p/before$v" "$p/upper$v"
		fi
	done
	mkdir -p "$p/upper/dev" "$p/upper/proc" "$p/upper/sys" "$p/upper/tmp" "$p/upper/etc"
	( cd "$r"; find . -type d -print0 ) | ( cd "$p/upper"; xargs -0 mkdir -p ) || : # directories of one's own can be written to; a volume may have another thing of such a name
	[ ! -e "$p/work" ] || { chmod -R u+rwx "$p/work"; rm -rf "$p/work"; }
	printf '%s' "$image" >"$p/image.new"
	mv "$p/image.new" "$p/image"
	rm -f "$p/moving"
fi
mkdir -p "$p/work" "$p/root"
for f in resolv.conf hosts; do [ ! -r "/etc/$f" ] || [ ! -d "$p/upper/etc" ] || cp -fL "/etc/$f" "$p/upper/etc/$f"; done
export r p u
exec "$u" --user --map-root-user --mount -- /bin/sh -ec ` + quote(inside) + "\n")
}

// variable says whether a shell passes a name on as a variable.
func variable(name string) bool {
	if name == "" || name == "_" || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}
