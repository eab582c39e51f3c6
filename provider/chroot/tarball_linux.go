package chroot

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/instancedirs"
	"github.com/hostler-project/hostler/remote/tree"
)

// baseLock locks the bases: none is unpacked twice at once, or deleted after it was chosen and
// before that is recorded.
func (p *Provider) baseLock(ctx context.Context) (*os.File, error) {
	dir := filepath.Join(p.o.Dir, "bases")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := instancedirs.Flock(ctx, f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// lower returns the directory for the bottom of a new instance: the base, or the unpacked tarball.
// The caller has the base lock.
func (p *Provider) lower(ctx context.Context) (string, error) {
	fi, err := p.baseInfo()
	if err != nil {
		return "", err
	}
	if fi.IsDir() {
		return p.o.Base, nil
	}
	dir := p.unpacked(fi)
	if _, err := os.Lstat(dir); err == nil {
		return dir, nil
	}
	if err := p.at("unpack"); err != nil {
		return "", err
	}
	made, err := os.MkdirTemp(p.o.Dir, "new-*")
	if err != nil {
		return "", err
	}
	defer func() { _ = instancedirs.Remove(made) }() // empty by then, unless it failed
	// It may take longer than the age at which sweep deletes leftovers: while it is locked, sweep
	// leaves it.
	l, err := os.Open(made)
	if err != nil {
		return "", err
	}
	defer l.Close()
	if err := instancedirs.Flock(ctx, l); err != nil {
		return "", err
	}
	start := time.Now()
	if err := unpack(ctx, p.o.Base, filepath.Join(made, "x")); err != nil {
		if ctx.Err() != nil || instancedirs.Full(err) {
			return "", err
		}
		return "", baseError(p.o.Base, err)
	}
	if err := p.at("unpacked"); err != nil {
		return "", err
	}
	p.log.Info("unpacked a base", "source", p.o.Source, "base", p.o.Base, "took", time.Since(start))
	return dir, os.Rename(filepath.Join(made, "x"), dir)
}

// unpacked is the directory for a tarball's content. It goes by the file's name, place, size and
// time, without reading it.
func (p *Provider) unpacked(fi fs.FileInfo) string {
	ino := uint64(0)
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		ino = st.Ino
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d\x00%d", p.o.Base, fi.Size(), fi.ModTime().UnixNano(), ino))
	return filepath.Join(p.o.Dir, "bases", fmt.Sprintf("%x", sum[:12]))
}

// forget deletes unpacked bases that no instance uses, but for the current one.
func (p *Provider) forget() {
	dir := filepath.Join(p.o.Dir, "bases")
	f, err := os.Open(dir)
	if err != nil {
		return
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return // an instance is being made; try another time
	}
	keep := map[string]bool{}
	if fi, err := os.Stat(p.o.Base); err == nil {
		keep[p.unpacked(fi)] = true
	}
	instances, err := os.ReadDir(filepath.Join(p.o.Dir, "instances"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return
	}
	for _, e := range instances {
		if e.Name() == "" || !e.IsDir() {
			continue
		}
		own, err := p.homes.Look(e.Name())
		if err != nil {
			return // an instance of unknown owner may stand on any of them
		}
		keep[own.Lower] = true
	}
	bases, _ := os.ReadDir(dir)
	for _, e := range bases {
		if b := filepath.Join(dir, e.Name()); !keep[b] {
			_, _ = p.homes.Throw(b)
		}
	}
}

// plainReader opens a tarball and decompresses it, by a program where the library cannot. wait
// waits for the program's end.
func plainReader(ctx context.Context, f *os.File) (r io.Reader, wait func() error, err error) {
	none := func() error { return nil }
	b := bufio.NewReaderSize(f, 64<<10)
	head, _ := b.Peek(6)
	program := ""
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		return z, none, err
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		program = "xz"
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		program = "zstd"
	case bytes.HasPrefix(head, []byte("BZh")):
		program = "bzip2"
	default:
		return b, none, nil
	}
	cmd := exec.CommandContext(ctx, program, "-d", "-c")
	cmd.Stdin, cmd.WaitDelay = b, time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, none, err
	}
	if err := cmd.Start(); err != nil {
		return nil, none, fmt.Errorf("it needs the program %s: %w", program, err)
	}
	return out, func() error {
		// the bytes behind the archive's end, so that the program can end
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(said.String()))
		}
		return nil
	}, nil
}

// extra is a part of a tarball that tree.Unpack leaves out.
type extra struct {
	header *tar.Header
}

// unpack makes the directory to from a tarball, with owners, devices and extended attributes.
func unpack(ctx context.Context, tarball, to string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f, err := os.Open(tarball)
	if err != nil {
		return err
	}
	defer f.Close()
	in, wait, err := plainReader(ctx, f)
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer root.Close()
	pr, pw := io.Pipe()
	var extras []extra
	filtered := make(chan error, 1)
	go func() { // ends with the tarball, or when Unpack closes the pipe
		more, err := filter(in, pw)
		extras = more
		pw.CloseWithError(err)
		filtered <- err
	}()
	err = tree.Unpack(ctx, root, pr, tree.Options{Owner: true})
	pr.CloseWithError(errors.New("unpacking ended"))
	if ferr := <-filtered; err == nil {
		err = ferr
	}
	if err != nil {
		cancel()
		_ = wait()
		return err
	}
	if err := wait(); err != nil {
		return err
	}
	for _, x := range extras {
		if err := x.apply(to); err != nil {
			return fmt.Errorf("%s: %w", x.header.Name, err)
		}
	}
	return nil
}

// filter passes a tar stream on without its devices. It returns these, and the entries with
// extended attributes.
func filter(in io.Reader, out io.Writer) ([]extra, error) {
	var extras []extra
	r, w := tar.NewReader(in), tar.NewWriter(out)
	for entries := 0; ; entries++ {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			if entries == 0 {
				return nil, errors.New("an empty tarball")
			}
			return extras, w.Close()
		}
		if err != nil {
			return extras, err
		}
		device := h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock
		attributed := false
		for k := range h.PAXRecords {
			attributed = attributed || strings.HasPrefix(k, xattrRecord)
		}
		if device || attributed {
			extras = append(extras, extra{h})
		}
		if device {
			continue
		}
		plain := *h
		plain.PAXRecords, plain.Format = nil, tar.FormatPAX // PAX keeps fractions of seconds
		if plain.Typeflag == tar.TypeGNUSparse {
			plain.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(&plain); err != nil {
			return extras, err
		}
		if plain.Typeflag == tar.TypeReg {
			if _, err := io.Copy(w, r); err != nil {
				return extras, err
			}
		}
	}
}

const xattrRecord = "SCHILY.xattr."

// apply makes a device, and sets extended attributes, inside root.
func (x extra) apply(root string) error {
	dir, base := path.Split(path.Clean("/" + x.header.Name))
	at, err := inside(root, dir, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	h := x.header
	if h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock {
		kind := uint32(unix.S_IFCHR)
		if h.Typeflag == tar.TypeBlock {
			kind = unix.S_IFBLK
		}
		err := unix.Mknodat(at, base, kind|uint32(h.Mode&0o777), int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))))
		if errors.Is(err, unix.EPERM) {
			return nil // no devices can be made here; the instance's /dev is ours anyway
		}
		if err != nil {
			return err
		}
		if err := unix.Fchownat(at, base, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		return unix.Fchmodat(at, base, uint32(h.Mode&0o777), 0) // a device that we just made
	}
	for k, v := range h.PAXRecords {
		name, ok := strings.CutPrefix(k, xattrRecord)
		if !ok {
			continue
		}
		err := unix.Lsetxattr(fmt.Sprintf("/proc/self/fd/%d/%s", at, base), name, []byte(v), 0)
		if err != nil && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("attribute %s: %w", name, err)
		}
	}
	return nil
}
