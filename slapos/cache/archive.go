package cache

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

const mostEntries = 1 << 21 // of an archive

// follows is a reader that ends with a context.
type follows struct {
	ctx  context.Context //nolint // for as long as one archive is read
	from io.Reader
}

func (f follows) Read(p []byte) (int, error) {
	if f.ctx.Err() != nil {
		return 0, context.Cause(f.ctx)
	}
	return f.from.Read(p)
}

// unpack makes in a directory what an archive has below a name: files, directories and links.
// Nothing comes to lie outside, whatever names and links are in it.
func unpack(ctx context.Context, from io.Reader, dir, top string) error {
	z, err := gzip.NewReader(bufio.NewReaderSize(follows{ctx, from}, 1<<20))
	if err != nil {
		return fmt.Errorf("the archive cannot be read: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	m := &extractor{root: root, modes: map[string]fs.FileMode{".": 0o755}, made: []string{"."}}
	archive := tar.NewReader(io.LimitReader(z, 10*maxRelease))
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return m.end()
		}
		if err == nil {
			err = m.entry(h, top, archive)
		}
		if err != nil {
			return fmt.Errorf("the archive cannot be unpacked: %w", err)
		}
	}
}

// An extractor unpacks an archive.
type extractor struct {
	root    *os.Root
	entries int
	modes   map[string]fs.FileMode // of directories, for the end, as one may be closed to its owner
	made    []string               // these, parents first
}

// entry unpacks one entry of an archive below the root. Directories get their modes at the end, so
// that a read-only one can be filled. An entry outside of top is an error.
func (m *extractor) entry(h *tar.Header, top string, content io.Reader) error {
	if m.entries++; m.entries > mostEntries {
		return fmt.Errorf("it has more than %d entries", mostEntries)
	}
	name, ok := inside(h.Name, top)
	if !ok {
		return fmt.Errorf("%q is not in the release's directory", h.Name)
	}
	mode := h.FileInfo().Mode().Perm() &^ 0o002
	if h.Typeflag == tar.TypeDir {
		if err := m.directory(name); err != nil {
			return err
		}
		m.modes[name] = mode
		return nil
	}
	if name == "." {
		return errors.New("the release's directory is none")
	}
	if err := m.directory(path.Dir(name)); err != nil {
		return err
	}
	if err := m.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return m.file(name, mode, content)
	case tar.TypeSymlink:
		return m.root.Symlink(h.Linkname, name) // wherever it leads: nothing is written through it
	case tar.TypeLink:
		target, ok := inside(h.Linkname, top)
		if !ok {
			return fmt.Errorf("%q is a link to %q, which is not in the release's directory", h.Name, h.Linkname)
		}
		return m.root.Link(target, name)
	}
	return fmt.Errorf("%q is neither a file nor a directory nor a link", h.Name)
}

// inside is a name of an archive within its one directory.
func inside(name, top string) (string, bool) {
	name = path.Clean(name)
	if name == top {
		return ".", true
	}
	rest, ok := strings.CutPrefix(name, top+"/")
	return rest, ok && filepath.IsLocal(rest)
}

// directory makes a directory and those above it.
func (m *extractor) directory(name string) error {
	if _, known := m.modes[name]; known {
		return nil
	}
	if err := m.directory(path.Dir(name)); err != nil {
		return err
	}
	if err := m.root.Mkdir(name, 0o700); err != nil {
		return err
	}
	m.modes[name], m.made = 0o755, append(m.made, name)
	return nil
}

// file writes a new file; its mode is set at the end, whatever the umask.
func (m *extractor) file(name string, mode fs.FileMode, content io.Reader) error {
	f, err := m.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Chmod(mode)
	}
	return errors.Join(err, f.Close())
}

// end gives directories their modes.
func (m *extractor) end() error {
	for i := len(m.made) - 1; i >= 0; i-- {
		name := m.made[i]
		if err := m.root.Chmod(name, m.modes[name]); err != nil {
			return err
		}
	}
	return nil
}

// pack writes a directory as an archive, in which it has a name.
func pack(ctx context.Context, to io.Writer, dir, top string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	archive := tar.NewWriter(to)
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if name == ".netrc" {
			return nil // the builder's passwords
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		target := ""
		switch {
		case d.Type() == fs.ModeSymlink:
			if target, err = root.Readlink(name); err != nil {
				return err
			}
		case !d.IsDir() && !d.Type().IsRegular():
			return nil // a socket, say: of what ran once
		}
		h, err := tar.FileInfoHeader(info, target)
		if err != nil {
			return err
		}
		h.Name, h.Uname, h.Gname, h.Uid, h.Gid = path.Join(top, name), "", "", 0, 0
		if err := archive.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
			return err
		}
		f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may be a FIFO by now
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(archive, follows{ctx, f})
		return err
	})
	return errors.Join(err, archive.Close())
}
