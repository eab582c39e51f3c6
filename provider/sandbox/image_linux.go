package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/provider/sandbox/enter"
)

// base is what a sandbox needs of its image. It is recorded in the instance's directory, so that
// later calls use what the sandbox was made from.
type base struct {
	Digest string            `json:"digest,omitempty"` // "": a directory of the host's
	Layers []string          `json:"layers"`           // directories, bottom first
	Env    map[string]string `json:"env,omitempty"`
	User   string            `json:"user,omitempty"` // the user that commands run as; "": root
	Dir    string            `json:"dir,omitempty"`  // where commands start; "": the user's home
	Entry  []string          `json:"entry,omitempty"`
	Cmd    []string          `json:"cmd,omitempty"`
}

// images give sandboxes their images, and record what a sandbox was made from.
type images struct {
	o    *Options
	root bool                    // we are root
	home func(compute.ID) string // the directory of a sandbox
	at   func(step string) error
}

// store opens the store of images.
func (im *images) store() (*image.Store, error) {
	return image.Open(im.o.Images, image.Options{Registry: im.o.Registry, Limits: im.o.ImageLimits, Others: im.o.Others})
}

// base returns what a sandbox needs of its image, from its record. The first time it comes from the
// store of images, which pulls the image if need be.
func (im *images) base(ctx context.Context, own instanceRecord) (*base, error) {
	if _, ok := HostRoot(own.Image); ok {
		return &base{Env: map[string]string{"HOME": im.o.Home}}, nil
	}
	if b, err := im.read(compute.ID(own.ID)); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if err := im.at("image"); err != nil {
		return nil, err
	}
	store, err := im.store()
	if err != nil {
		return nil, err
	}
	home := im.home(compute.ID(own.ID))
	img, err := store.Take(ctx, own.Image, home, image.PullOptions{})
	if err != nil {
		return nil, err
	}
	b := &base{
		Digest: img.Digest, Layers: img.Dirs(), Env: map[string]string{}, Dir: img.Config.WorkingDir,
		Entry: img.Config.Entrypoint, Cmd: img.Config.Cmd,
	}
	for _, kv := range img.Config.Env {
		if k, v, ok := strings.Cut(kv, "="); ok && k != "" {
			b.Env[k] = v
		}
	}
	if img.Digest == "" { // the links on the way are followed once, now
		for i, dir := range b.Layers {
			if b.Layers[i], err = filepath.EvalSymlinks(dir); err != nil {
				return nil, err
			}
		}
	}
	if err := im.user(b, img.Config.User); err != nil {
		return nil, err
	}
	text, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	if err := im.at("base"); err != nil {
		return nil, err
	}
	made := filepath.Join(home, "base.new")
	if err := os.WriteFile(made, text, 0o600); err != nil {
		return nil, err
	}
	return b, os.Rename(made, filepath.Join(home, "base"))
}

// user looks up the user that commands run as. An ordinary user's sandboxes have but one user.
func (im *images) user(b *base, spec string) error {
	if spec == "" || !im.root {
		return nil
	}
	u, err := image.LookupUser(b.Layers, spec)
	if err != nil {
		return err
	}
	if u.UID != 0 {
		b.User = u.Name
		if b.User == "" {
			b.User = strconv.Itoa(u.UID)
		}
	}
	return nil
}

// read reads the record of what a sandbox was made from.
func (im *images) read(id compute.ID) (*base, error) {
	text, err := os.ReadFile(filepath.Join(im.home(id), "base"))
	if err != nil {
		return nil, err
	}
	b := &base{}
	return b, json.Unmarshal(text, b)
}

// release removes a sandbox's mark from its image.
func (im *images) release(id compute.ID) error {
	b, err := im.read(id)
	if errors.Is(err, fs.ErrNotExist) || err == nil && b.Digest == "" {
		return nil
	}
	if err != nil {
		return err
	}
	store, err := im.store()
	if err != nil {
		return err
	}
	return store.Release(b.Digest, im.home(id))
}

// imagePieces returns the pieces of an image's root.
func (t *bindMounts) imagePieces(b *base) ([]enter.Piece, error) {
	root := enter.Piece{At: "/", Kind: enter.Overlay}
	for _, dir := range slices.Backward(b.Layers) {
		tree, err := t.tree(dir)
		if err != nil {
			return nil, err
		}
		root.Layers = append(root.Layers, tree)
	}
	return []enter.Piece{root}, nil
}

// share is a directory or file of the host that is shown inside.
type share struct {
	from, to string
	writable bool
}

// shares parses `mounts`: PATH[:PATH-INSIDE][:ro|:rw].
func shares(words []string, home string) ([]share, error) {
	var out []share
	for _, w := range words {
		parts := strings.Split(w, ":")
		s := share{}
		switch last := parts[len(parts)-1]; {
		case len(parts) > 1 && (last == "ro" || last == "rw"):
			s.writable = last == "rw"
			parts = parts[:len(parts)-1]
		}
		s.from = parts[0]
		if rest, ok := strings.CutPrefix(s.from, "~/"); ok && home != "" {
			s.from = filepath.Join(home, rest)
		}
		s.to = s.from
		if len(parts) == 2 {
			s.to = parts[1]
		}
		if len(parts) > 2 || !filepath.IsAbs(s.from) || !filepath.IsAbs(s.to) {
			return nil, fmt.Errorf("mounts = %s: not PATH[:PATH-INSIDE][:ro|:rw] with absolute paths", w)
		}
		s.from, s.to = filepath.Clean(s.from), filepath.Clean(s.to)
		if s.to == "/" || slices.ContainsFunc([]string{"/proc", "/sys", "/dev"}, func(dir string) bool { return below(s.to, dir) }) {
			return nil, fmt.Errorf("mounts = %s: %s is the sandbox's own", w, s.to)
		}
		if kernels(s.from) {
			return nil, fmt.Errorf("mounts = %s: %s tells of and changes all of this machine", w, s.from)
		}
		out = append(out, s)
	}
	return out, nil
}

// kernels reports whether a path is the kernel's: processes, devices and settings of this machine.
// A file below /dev is not, as shares have no devices.
func kernels(p string) bool { return p == "/dev" || below(p, "/proc") || below(p, "/sys") }

// real returns a share's path without links, if it may be shared. own are hostler's directories.
func (s share) real(own []string, root bool) (string, error) {
	fail := func(err error, hint string) (string, error) {
		return "", &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("mounts = %s: %w", s.from, err), Hint: hint}
	}
	from, err := filepath.EvalSymlinks(s.from)
	if err == nil && root {
		err = ownLinks(s.from)
	}
	if err != nil {
		return fail(err, "")
	}
	if kernels(from) {
		return fail(fmt.Errorf("%s tells of and changes all of this machine", from), "")
	}
	for _, dir := range own {
		if real, err := filepath.EvalSymlinks(dir); err == nil && (below(real, from) || below(from, real)) {
			return fail(
				fmt.Errorf("hostler's own %s is in it", dir),
				"share directories beside that: who can write there decides what hostler does on this machine",
			)
		}
	}
	return from, nil
}

// sharePieces returns the pieces of what the source shares.
func (m *making) sharePieces(all []share, own []string) ([]enter.Piece, error) {
	var out []enter.Piece
	for _, s := range all {
		from, err := s.real(own, m.t.users >= 0)
		if err != nil {
			return nil, err
		}
		tree, err := m.t.tree(from)
		if err != nil {
			return nil, err
		}
		out = append(out, enter.Piece{At: s.to, Kind: enter.Bind, Layers: []enter.Tree{tree}, Writable: s.writable})
		guards, err := m.guard(s, from)
		if err != nil {
			return nil, err
		}
		out = append(out, guards...)
	}
	return out, nil
}

// ownLinks refuses links, on the way to what root shares, that another user could have made, such
// as a sandbox with a writable share. They could lead anywhere.
func ownLinks(path string) error {
	for at := path; at != "/"; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		dir, err := os.Stat(filepath.Dir(at))
		if err != nil {
			return err
		}
		if st, ok := dir.Sys().(*syscall.Stat_t); !ok || st.Uid != 0 || dir.Mode().Perm()&0o022 != 0 {
			return fmt.Errorf("%s is a link in a directory that others than root can write to", at)
		}
	}
	return nil
}
