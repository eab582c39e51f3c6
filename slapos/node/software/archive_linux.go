package software

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	neturl "net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/policy/fetch"
)

const (
	mostEntries = 1 << 20     // of an archive or a directory
	lookEach    = 32 << 20    // bytes that are written between looks at how much room there is
	stall       = time.Minute // after it without a byte from a server, the download fails
)

// packed says whether a URL is that of an archive.
func packed(url string) bool {
	for _, end := range []string{".tar", ".tar.gz", ".tgz", ".tar.zst"} {
		if strings.HasSuffix(url, end) {
			return filepath.IsAbs(url) || strings.HasPrefix(url, "http://") || strings.HasPrefix(url, "https://")
		}
	}
	return false
}

// unpack unpacks the archive at a URL or a path.
func (b *Builder) unpack(ctx context.Context, u *User, url, dir string) error {
	if filepath.IsAbs(url) {
		return u.as(func() error {
			f, err := os.OpenFile(url, os.O_RDONLY|unix.O_NONBLOCK, 0) // not to wait for a FIFO
			if err != nil {
				return gone(err)
			}
			defer f.Close()
			if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
				return errors.Join(fmt.Errorf("%s is no regular file", url), err)
			}
			return b.untar(ctx, f, url, dir)
		})
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(stall, func() { cancel(fmt.Errorf("nothing came for %s", stall)) })
	defer late.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		// without it: a password may stand in it
		return &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("the release's URL cannot be read")}
	}
	shown := request.URL.Redacted()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true // an archive is what it is
	client := &http.Client{Transport: transport}
	if b.Guard != nil {
		client.Transport = b.Guard.Transport(transport)
	}
	defer client.CloseIdleConnections()
	answer, err := client.Do(request)
	if err != nil {
		if errors.As(err, new(*fetch.Refused)) {
			return refused(err)
		}
		if at, ok := errors.AsType[*neturl.Error](err); ok {
			err = at.Err
		}
		return &compute.Error{Kind: compute.ErrUnavailable, Err: fmt.Errorf("%s: %w", shown, errors.Join(err, context.Cause(ctx)))}
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone:
		return &compute.Error{Kind: compute.ErrNotFound, Err: fmt.Errorf("%s: the server answers %s", shown, answer.Status)}
	default:
		return &compute.Error{Kind: compute.ErrUnavailable, Err: fmt.Errorf("%s: the server answers %s", shown, answer.Status)}
	}
	body := reader(func(p []byte) (int, error) {
		n, err := answer.Body.Read(p)
		late.Reset(stall)
		return n, err
	})
	return u.as(func() error { return b.untar(ctx, body, url, dir) })
}

// refused is the error of a URL that the guard did not let through, with a hint for the node's
// operator. It does not say where the URL leads, as the master shows the error to the user that
// named it.
func refused(err error) error {
	no, ok := errors.AsType[*fetch.Refused](err)
	if !ok {
		return err
	}
	return &compute.Error{Kind: compute.ErrDenied, Err: fmt.Errorf("%s is nowhere that this node fetches from", no.Where()),
		Hint: "the node's operator allows it by fetch_allow = HOST:PORT, or a range, in [slapos]"}
}

// reader is a function that reads.
type reader func([]byte) (int, error)

// Read reads.
func (r reader) Read(p []byte) (int, error) { return r(p) }

// gone turns the error of a missing file into ErrNotFound.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &compute.Error{Kind: compute.ErrNotFound, Err: err}
	}
	return err
}

// untar unpacks an archive: nothing of it comes to lie outside of dir, be it by names or by links
// that are in it.
func (b *Builder) untar(ctx context.Context, from io.Reader, url, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var plain io.Reader = reader(func(p []byte) (int, error) { // ends with ctx
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return from.Read(p)
	})
	bad := func(err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("the archive cannot be unpacked: %w", err)
	}
	switch {
	case strings.HasSuffix(url, ".zst"):
		z, err := zstd.NewReader(plain, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(128<<20))
		if err != nil {
			return bad(err)
		}
		defer z.Close()
		plain = z
	case strings.HasSuffix(url, "gz"):
		z, err := gzip.NewReader(plain)
		if err != nil {
			return bad(err)
		}
		plain = z
	}
	m := &extractor{b: b, root: root, modes: map[string]fs.FileMode{}}
	for archive := tar.NewReader(plain); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return m.end()
		}
		if err == nil {
			err = m.entry(h, archive)
		}
		if err != nil {
			return bad(err)
		}
	}
}

// An extractor makes files in a directory, and none outside of it.
type extractor struct {
	b       *Builder
	root    *os.Root
	entries int
	written int64
	modes   map[string]fs.FileMode // of directories, for the end: one may be closed to its owner
	made    []string               // these, in order
}

// entry makes one entry of an archive.
func (m *extractor) entry(h *tar.Header, content io.Reader) error {
	name := path.Clean(h.Name)
	if m.entries++; m.entries > mostEntries {
		return fmt.Errorf("it has more than %d entries", mostEntries)
	}
	if !filepath.IsLocal(name) {
		return fmt.Errorf("%q leads out of the release", h.Name)
	}
	mode := h.FileInfo().Mode()
	switch h.Typeflag {
	case tar.TypeDir:
		return m.directory(name, mode)
	case tar.TypeReg, tar.TypeGNUSparse:
		return m.file(name, mode, content)
	case tar.TypeSymlink:
		return m.link(name, h.Linkname)
	case tar.TypeLink:
		target := path.Clean(h.Linkname)
		if !filepath.IsLocal(target) {
			return fmt.Errorf("%q is a link to %q, which leads out of the release", h.Name, h.Linkname)
		}
		if err := m.makeParents(name); err != nil {
			return err
		}
		return m.root.Link(target, name)
	case tar.TypeXGlobalHeader:
		return nil
	}
	return fmt.Errorf("%q is neither a file nor a directory nor a link", h.Name)
}

// makeParents makes the directories above a name, and removes a file of that name.
func (m *extractor) makeParents(name string) error {
	if name == "." {
		return errors.New("the release's directory can be nothing else")
	}
	if err := m.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	if err := m.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// directory makes a directory and notes its mode, without writing for others.
func (m *extractor) directory(name string, mode fs.FileMode) error {
	if name == "." {
		return nil
	}
	if err := m.root.MkdirAll(name, 0o755); err != nil {
		return err
	}
	if _, known := m.modes[name]; !known {
		m.made = append(m.made, name)
	}
	m.modes[name] = mode.Perm() &^ 0o022
	return nil
}

func (m *extractor) link(name, target string) error {
	if err := m.makeParents(name); err != nil {
		return err
	}
	return m.root.Symlink(target, name) // wherever it leads: nothing is written through it
}

// file writes a new file, without writing for others. The free space is checked every lookEach
// bytes.
func (m *extractor) file(name string, mode fs.FileMode, content io.Reader) error {
	if err := m.makeParents(name); err != nil {
		return err
	}
	mode = mode.Perm() &^ 0o022
	f, err := m.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	for err == nil {
		var n int64
		n, err = io.CopyN(f, content, lookEach-m.written%lookEach)
		if m.written += n; err == nil {
			err = m.b.checkSpace()
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	return errors.Join(err, f.Close())
}

// end gives directories their modes.
func (m *extractor) end() error {
	for i := len(m.made) - 1; i >= 0; i-- {
		if err := m.root.Chmod(m.made[i], m.modes[m.made[i]]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// copy copies a directory: its files, directories and links, and nothing else.
func (b *Builder) copy(ctx context.Context, from, dir string) error {
	real, err := filepath.EvalSymlinks(from)
	if err != nil {
		return gone(err)
	}
	to, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(real, to); err == nil && filepath.IsLocal(rel) {
		return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("the software root is in %s, which so cannot be a release", from)}
	}
	source, err := os.OpenRoot(real)
	if err != nil {
		return err
	}
	defer source.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	m := &extractor{b: b, root: root, modes: map[string]fs.FileMode{}}
	err = fs.WalkDir(source.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if m.entries++; m.entries > mostEntries {
			return fmt.Errorf("%s has more than %d entries", from, mostEntries)
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			return m.directory(name, st.Mode())
		case d.Type() == fs.ModeSymlink:
			target, err := source.Readlink(name)
			if err != nil {
				return err
			}
			return m.link(name, target)
		case !d.Type().IsRegular():
			b.say("%s is neither a file nor a directory nor a link, and is left out.", filepath.Join(from, name))
			return nil
		}
		f, err := source.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		return m.file(name, st.Mode(), reader(func(p []byte) (int, error) {
			if ctx.Err() != nil {
				return 0, ctx.Err()
			}
			return f.Read(p)
		}))
	})
	if err != nil {
		return err
	}
	return m.end()
}
