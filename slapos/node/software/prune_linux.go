package software

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/node/home"
)

const (
	hashSize   = 32       // hexadecimal digits in the name of a shared part's directory
	mostNested = 16 << 30 // bytes that are read of nodes within partitions
)

// A Pruner removes shared parts that nothing uses any more. No build may run meanwhile: its new
// parts, not noted yet, would be removed.
type Pruner struct {
	Software []string // software roots; a part that a release in one of them names stays
	// directories of shared parts, as NAME/HASH; those in the last one may go, those in all of them
	// use others
	Shared   []string
	Instance string // where partitions are, which may hold nodes of their own; "": nowhere
	DryRun   bool
	Log      func(line string) // may be nil
}

// A part is a shared part, in the last of the directories, and which others it names.
type part struct {
	name, hash string
	uses       map[string]bool
}

// Prune returns the directories that it removed, or with DryRun would remove. If any use cannot be
// read it returns an error, and removes nothing.
func (p *Pruner) Prune(ctx context.Context) (pruned []string, err error) {
	fail := func(err error) ([]string, error) {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return pruned, &compute.Error{Op: "software.Prune", Kind: compute.ErrFailed, Err: err}
	}
	if len(p.Shared) == 0 {
		return nil, &compute.Error{
			Op: "software.Prune", Kind: compute.ErrInvalid,
			Err: errors.New("there are no shared parts: shared_part_list names no directory"),
		}
	}
	last := p.Shared[len(p.Shared)-1]
	parts, err := partsIn(last)
	if err != nil {
		return fail(err)
	}
	if len(parts) == 0 {
		return nil, nil
	}
	u := &uses{ctx: ctx, known: map[string]bool{}, found: map[string]bool{}}
	for _, one := range parts {
		u.known[one.hash] = true
	}
	software, shared := p.Software, p.Shared[:len(p.Shared)-1]
	nested, more := p.nested(ctx)
	for _, root := range software {
		if err := u.releases(root); err != nil {
			return fail(err)
		}
	}
	u.left = new(int64(mostNested))
	// a partition's user chooses their places and content: an unreadable one keeps nothing
	for _, root := range nested {
		if err := u.releases(root); ctx.Err() != nil {
			return fail(err)
		} else if err != nil {
			p.say("%s cannot be read to its end, and is passed over: %v", root, err)
		}
	}
	u.left = nil
	for _, dir := range append(shared[:len(shared):len(shared)], more...) {
		others, err := partsIn(dir)
		if err != nil {
			return fail(err)
		}
		for _, one := range others {
			if same(dir, last) {
				break
			}
			if err := u.signature(filepath.Join(dir, one.name, one.hash)); err != nil {
				return fail(err)
			}
		}
	}
	from := u.found
	for i := range parts {
		parts[i].uses = map[string]bool{}
		u.found = parts[i].uses
		if err := u.signature(filepath.Join(last, parts[i].name, parts[i].hash)); err != nil {
			return fail(err)
		}
	}
	if ctx.Err() != nil {
		return fail(ctx.Err())
	}
	for _, one := range unused(parts, from) {
		path := filepath.Join(last, one.name, one.hash)
		if pruned = append(pruned, path); p.DryRun {
			p.say("%s is not used.", path)
			continue
		}
		p.say("%s is not used, and is removed.", path)
		if err := removePart(last, one); err != nil {
			return fail(err)
		}
	}
	return pruned, nil
}

// unused are the parts that no release and no remaining part names. Their order is safe: a part is
// removed before the parts that it uses.
func unused(parts []part, from map[string]bool) (out []part) {
	for {
		var gone, stay []part
		for i, one := range parts {
			used := from[one.hash]
			for j, other := range parts {
				used = used || i != j && other.uses[one.hash]
			}
			if used {
				stay = append(stay, one)
			} else {
				gone = append(gone, one)
			}
		}
		if len(gone) == 0 {
			return out
		}
		out, parts = append(out, gone...), stay
	}
}

// removePart takes a part away, and the directory that it was in when it was the last one there.
func removePart(root string, one part) error {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return err
	}
	d, err := home.Open(root)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Remove(one.name + "/" + one.hash); err != nil {
		return err
	}
	if left, err := d.List(one.name, 1); err != nil || len(left) > 0 {
		return nil
	}
	return d.Remove(one.name)
}

// nested are the software roots and the directories of shared parts of nodes within partitions.
// Unreadable ones are left out.
func (p *Pruner) nested(ctx context.Context) (software, shared []string) {
	if p.Instance == "" {
		return nil, nil
	}
	root, err := filepath.EvalSymlinks(p.Instance)
	if err != nil {
		return nil, nil
	}
	in, err := home.Open(root)
	if err != nil {
		return nil, nil
	}
	defer in.Close()
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || d.Name() != "slapos.cfg" || !d.Type().IsRegular() {
			return nil
		}
		var n *cfg.NodeConfig
		name, err := filepath.Rel(root, path)
		if err != nil {
			return nil
		}
		data, err := in.Read(name, 1<<20)
		var f *cfg.File
		if err == nil {
			f, err = cfg.Parse(path, data)
		}
		if err == nil {
			n, err = f.Node()
		}
		if err != nil {
			p.say("%s cannot be read, and is passed over: %v", path, err)
			return nil
		}
		if filepath.IsAbs(n.SoftwareRoot) {
			software = append(software, n.SoftwareRoot)
		}
		for _, dir := range n.SharedParts {
			if filepath.IsAbs(dir) {
				shared = append(shared, dir)
			}
		}
		return nil
	})
	return software, shared
}

func (p *Pruner) say(format string, args ...any) {
	if p.Log != nil {
		p.Log(fmt.Sprintf(format, args...))
	}
}

// same says whether two names are of one directory.
func same(a, b string) bool {
	sa, err := os.Stat(a)
	if err != nil {
		return false
	}
	sb, err := os.Stat(b)
	return err == nil && os.SameFile(sa, sb)
}

// partsIn are the shared parts in a directory, which need not be there.
func partsIn(dir string) (out []part, err error) {
	names, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, name := range names {
		if !name.IsDir() {
			continue
		}
		hashes, err := os.ReadDir(filepath.Join(dir, name.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, h := range hashes {
			if h.IsDir() && len(h.Name()) == hashSize && strings.Trim(h.Name(), "0123456789abcdef") == "" {
				out = append(out, part{name: name.Name(), hash: h.Name()})
			}
		}
	}
	return out, nil
}

// uses finds which hashes that are known stand in files.
type uses struct {
	ctx   context.Context
	known map[string]bool
	found map[string]bool
	left  *int64 // bytes that may still be read; nil: any number
}

// releases reads the uses of a software root's releases: from buildout's notes, their programs, and
// the targets of these where they are links.
func (u *uses) releases(root string) error {
	dirs, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, d := range dirs {
		dir := filepath.Join(root, d.Name())
		if !d.IsDir() {
			continue
		}
		if err := u.file(filepath.Join(dir, ".installed.cfg")); err != nil {
			return err
		}
		programs, err := os.ReadDir(filepath.Join(dir, "bin"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
			return err
		}
		for _, one := range programs {
			path := filepath.Join(dir, "bin", one.Name())
			if to, err := os.Readlink(path); err == nil {
				if err := u.text(strings.NewReader(to)); err != nil {
					return err
				}
			}
			if err := u.file(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// signature reads which parts a shared part was made from: the files at its top whose names begin
// with a dot.
func (u *uses) signature(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			if err := u.file(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// file reads the uses in a regular file. Another kind of file, or a missing one, names nothing.
func (u *uses) file(path string) error {
	// It is looked at before it is opened: to open a device may be to do something, and a
	// partition's user may have put a link to one.
	at, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(at)
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return err
	}
	f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", at))
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer f.Close()
	if u.left == nil {
		return u.text(f)
	}
	in := &io.LimitedReader{R: f, N: *u.left}
	err = u.text(in)
	if *u.left = in.N; err == nil && in.N <= 0 {
		err = errors.New("there is too much to be read")
	}
	return err
}

// text finds the hashes of known parts in a text, in constant memory. A hash may be part of a
// longer run of digits.
func (u *uses) text(r io.Reader) error {
	in := bufio.NewReaderSize(r, 64<<10)
	// the digits that were read last; when it is full, its second half moves to its first
	var last [2 * hashSize]byte
	for n, read := 0, 0; ; read++ {
		b, err := in.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && read&0xfffff == 0 {
			err = u.ctx.Err()
		}
		if err != nil {
			return err
		}
		if (b < '0' || b > '9') && (b < 'a' || b > 'f') {
			n = 0
			continue
		}
		if n == len(last) {
			copy(last[:], last[hashSize:])
			n = hashSize
		}
		last[n] = b
		if n++; n >= hashSize && u.known[string(last[n-hashSize:n])] {
			u.found[string(last[n-hashSize:n])] = true
		}
	}
}
