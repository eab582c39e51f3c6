package enter

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// builder builds a root in the scratch directory. u/N and w/N are the upper and working directories
// of overlay N, l/N the layers that came as descriptors, and r is the root.
type builder struct {
	plan    *Plan
	fds     []int
	store   string
	root    int // r
	onDisk  bool
	layers  int
	written int
}

// build makes the root of the plan and makes it this process's own.
func build(p *Plan, fds []int) error {
	b := &builder{plan: p, fds: fds, root: -1}
	// What is needed of the host later is taken now: there is no way back.
	trees := make(map[string]int) // by path
	mask := -1
	if p.Mask != "" {
		var err error
		if mask, err = unix.Open(p.Mask, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			return at(err, "open %s", p.Mask)
		}
	}
	for _, piece := range p.Pieces {
		for _, t := range piece.Layers {
			if _, copied := b.masked(t); t.FD == 0 && !copied {
				fd, err := unix.Open(t.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
				if err != nil {
					if piece.Optional {
						continue
					}
					return at(err, "open %s", t.Path)
				}
				trees[t.Path] = fd
			}
		}
	}
	devices, hostProc := takeDevices(), -1
	if !p.has("pid") {
		var err error
		if hostProc, err = unix.OpenTree(
			unix.AT_FDCWD, "/proc", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE,
		); err != nil {
			return at(err, "take the host's /proc")
		}
	}
	b.onDisk = p.Disk != Tree{}
	if p.Disk.Path != "" {
		fd, err := unix.OpenTree(unix.AT_FDCWD, p.Disk.Path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return at(err, "open %s", p.Disk.Path)
		}
		b.fds = append(b.fds, fd)
		p.Disk.FD = len(b.fds)
	}
	defer func() {
		for _, fd := range trees {
			_ = unix.Close(fd)
		}
		for i, fd := range fds {
			if i > 0 && i != p.Group-1 && i != p.Record-1 && !p.holds(i+1) {
				_ = unix.Close(fd)
			}
		}
	}()
	if err := b.begin(); err != nil {
		return err
	}
	if mask >= 0 {
		if err := copyMask(mask, b.store+"/m"); err != nil {
			return at(err, "copy what hides secrets")
		}
	}
	for _, piece := range p.Pieces {
		if err := b.add(piece, trees); err != nil {
			if piece.Optional {
				p.lack(piece.At, err)
				err = b.dir(piece.At, 0o755)
			}
			if err != nil {
				return at(err, "%s at %s", piece.Kind, piece.At)
			}
		}
	}
	if err := b.loose(); err != nil {
		return at(err, "write its own files")
	}
	if err := unix.Fchdir(b.root); err != nil {
		return at(err, "enter the root")
	}
	// The root that was opened first may have been mounted over since.
	if err := unix.Chdir(b.store + "/r"); err != nil {
		return at(err, "enter the root")
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return at(err, "change the root")
	}
	// The host's root lies over ours now, and is what "." is; ours is "/". /proc can only be
	// mounted while another one is in sight.
	if err := furnish(p, devices, hostProc); err != nil {
		return err
	}
	if p.has("detach") {
		if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
			return at(err, "leave the host's root")
		}
	}
	return at(unix.Chdir("/"), "enter the new root")
}

// holds reports whether a descriptor is to be kept.
func (p *Plan) holds(n int) bool {
	for _, h := range p.Holds {
		if h == n {
			return true
		}
	}
	return false
}

// lack notes a piece that could not be made.
func (p *Plan) lack(at string, err error) {
	if why := err.Error(); len(p.lacks) < maxLacks {
		p.lacks = append(p.lacks, Lack{at[:min(len(at), maxLack)], why[:min(len(why), maxLack)]})
	}
}

// begin mounts the scratch file system. It cuts the host's mounts off: later ones do not appear
// here.
func (b *builder) begin() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return at(err, "part from the host's mounts")
	}
	options := "mode=0755"
	if b.plan.Size > 0 && !b.onDisk {
		options += ",size=" + strconv.FormatInt(b.plan.Size, 10) + ",nr_inodes=" + strconv.FormatInt(max(b.plan.Size>>12, 1024), 10)
	}
	b.store = b.plan.Scratch
	if err := unix.Mount("tmpfs", b.store, "tmpfs", unix.MS_NODEV|unix.MS_NOATIME, options); err != nil {
		return at(err, "mount a file system in memory at %s", b.store)
	}
	if err := unix.Mkdir(b.store+"/r", 0o755); err != nil {
		return at(err, "make the root")
	}
	if b.onDisk {
		if err := unix.Mkdir(b.store+"/d", 0o755); err != nil {
			return at(err, "make a place for the disk")
		}
		if b.plan.Disk.FD > len(b.fds) {
			return at(errors.New("its descriptor did not come"), "mount the disk")
		}
		if err := unix.MoveMount(b.fds[b.plan.Disk.FD-1], "", unix.AT_FDCWD, b.store+"/d", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return at(err, "mount the disk")
		}
	}
	if len(b.plan.Pieces) == 0 || b.plan.Pieces[0].At != "/" {
		// It is made of parts: the root itself is where what is written goes, and has to be a mount
		// to be changed to.
		root := b.store + "/r"
		if b.onDisk {
			if root = b.store + "/d/r"; unix.Mkdir(root, 0o755) != nil {
				return at(errors.New("the disk is no new one"), "make the root")
			}
		}
		if err := unix.Mount(root, b.store+"/r", "", unix.MS_BIND, ""); err != nil {
			return at(err, "make the root")
		}
	}
	return b.open()
}

// open opens the root as it is now.
func (b *builder) open() (err error) {
	if b.root >= 0 {
		_ = unix.Close(b.root)
	}
	b.root, err = unix.Open(b.store+"/r", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	return at(err, "open the root")
}

// add puts a piece in its place.
func (b *builder) add(piece Piece, trees map[string]int) error {
	switch piece.Kind {
	case Overlay:
		return b.overlay(piece, trees)
	case Bind:
		return b.bind(piece, trees)
	case Dir:
		return b.dir(piece.At, piece.Mode)
	case Link:
		dir, err := b.inside(path.Dir(piece.At), true)
		if err != nil {
			return err
		}
		defer unix.Close(dir)
		if err := unix.Symlinkat(piece.Target, dir, path.Base(piece.At)); !errors.Is(err, unix.EEXIST) {
			return err
		}
		return nil
	}
	return fmt.Errorf("the plan has a piece of kind %q", piece.Kind)
}

// overlay mounts layers with a writable one on top.
func (b *builder) overlay(piece Piece, trees map[string]int) error {
	top := b.store
	if b.onDisk {
		top += "/d"
	}
	n := strconv.Itoa(b.written)
	b.written++
	upper, work := top+"/u"+n, top+"/w"+n
	var lower []string
	for _, t := range piece.Layers {
		// by a number, as in a path's name some characters mean something to the kernel
		if own, ok := b.masked(t); ok {
			fd, err := unix.Open(own, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err != nil {
				return &os.PathError{Op: "open", Path: own, Err: err}
			}
			defer unix.Close(fd)
			lower = append(lower, "/proc/self/fd/"+strconv.Itoa(fd))
			continue
		}
		if t.FD == 0 {
			fd, ok := trees[t.Path]
			if !ok {
				return &os.PathError{Op: "open", Path: t.Path, Err: unix.ENOENT}
			}
			lower = append(lower, "/proc/self/fd/"+strconv.Itoa(fd))
			continue
		}
		at := b.store + "/l" + strconv.Itoa(b.layers)
		b.layers++
		if t.FD > len(b.fds) {
			return errors.New("a layer's descriptor did not come")
		}
		if err := unix.Mkdir(at, 0o755); err != nil {
			return err
		}
		if err := unix.MoveMount(b.fds[t.FD-1], "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("attach a layer: %w", err)
		}
		lower = append(lower, at)
	}
	if len(lower) == 0 {
		return errors.New("no layers")
	}
	// What is written to looks, at its top, as what it lies over.
	var st unix.Stat_t
	if err := unix.Stat(lower[0], &st); err != nil {
		return err
	}
	for _, dir := range []string{upper, work} {
		if err := unix.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	_ = unix.Chown(upper, int(st.Uid), int(st.Gid)) // fails for an owner without an id here
	if err := unix.Chmod(upper, st.Mode&0o7777); err != nil {
		return err
	}
	if err := b.seed(piece.At, upper, lower); err != nil {
		return err
	}
	target := b.store + "/r"
	if piece.At != "/" {
		fd, err := b.inside(piece.At, true)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		target = "/proc/self/fd/" + strconv.Itoa(fd)
	}
	options := "userxattr,upperdir=" + upper + ",workdir=" + work + ",lowerdir=" + strings.Join(lower, ":")
	if b.onDisk {
		options = "volatile," + options
	}
	if err := unix.Mount("overlay", target, "overlay", unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount an overlay: %w", err)
	}
	if piece.At == "/" {
		return b.open()
	}
	return nil
}

// masked returns the place of the copy of a layer that is a part of the plan's mask.
func (b *builder) masked(t Tree) (string, bool) {
	if t.FD > 0 || b.plan.Mask == "" {
		return "", false
	}
	rel, ok := strings.CutPrefix(t.Path, b.plan.Mask)
	return b.store + "/m" + rel, ok
}

// copyMask copies a layer that hides things: directories, some of them opaque, and whiteouts.
func copyMask(from int, to string) error {
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return err
	}
	if err := unix.Mkdir(to, 0o700); err != nil {
		return err
	}
	const opaque = "user.overlay.opaque"
	value := make([]byte, 4)
	if n, err := unix.Fgetxattr(from, opaque, value); err == nil {
		if err := unix.Setxattr(to, opaque, value[:n], 0); err != nil {
			return err
		}
	}
	dir := os.NewFile(uintptr(from), to)
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		var e unix.Stat_t
		if err := unix.Fstatat(from, name, &e, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		switch e.Mode & unix.S_IFMT {
		case unix.S_IFCHR:
			err = unix.Mknod(to+"/"+name, unix.S_IFCHR, 0)
		case unix.S_IFDIR:
			var fd int
			if fd, err = unix.Openat(from, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err == nil {
				err = copyMask(fd, to+"/"+name)
			}
		}
		if err != nil {
			return err
		}
	}
	_ = dir.Close()
	return unix.Chmod(to, st.Mode&0o7777)
}

// seed writes the sandbox's own files in an overlay into its upper layer. There it costs less than
// in the overlay, where the host's file would have to go first. The directories on the way look as
// they do below.
func (b *builder) seed(at, upper string, lower []string) error {
	for name, text := range b.plan.Files {
		rel, ok := strings.CutPrefix(name, strings.TrimSuffix(at, "/")+"/")
		if !ok || b.within(name) != at {
			continue
		}
		place := upper
		for dir := range strings.SplitSeq(path.Dir(rel), "/") {
			if dir == "." {
				break
			}
			place += "/" + dir
			if err := like(place, strings.TrimPrefix(place, upper), lower); err != nil {
				return err
			}
		}
		if err := os.WriteFile(upper+"/"+rel, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// loose writes the sandbox's own files that lie in nothing of the host's.
func (b *builder) loose() error {
	for name, text := range b.plan.Files {
		if b.covered(name) {
			continue
		}
		dir, err := b.inside(path.Dir(name), true)
		if err != nil {
			return err
		}
		fd, err := unix.Openat(dir, path.Base(name), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
		_ = unix.Close(dir)
		if err != nil {
			return &os.PathError{Op: "make", Path: name, Err: err}
		}
		f := os.NewFile(uintptr(fd), name)
		_, err = f.WriteString(text)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// covered reports whether a path is, or lies in, what an overlay or a bind shows.
func (b *builder) covered(name string) bool {
	for _, p := range b.plan.Pieces {
		if (p.Kind == Overlay || p.Kind == Bind) && (p.At == name || strings.HasPrefix(name, strings.TrimSuffix(p.At, "/")+"/")) {
			return true
		}
	}
	return false
}

// within returns where the innermost overlay is that a path lies in.
func (b *builder) within(name string) string {
	best := ""
	for _, p := range b.plan.Pieces {
		if p.Kind == Overlay && len(p.At) > len(best) && strings.HasPrefix(name, strings.TrimSuffix(p.At, "/")+"/") {
			best = p.At
		}
	}
	return best
}

// like makes a directory that looks as in the topmost layer that has it, unless it exists. If no
// layer has it, or it is no directory there, it gets mode 0755.
func like(place, rel string, lower []string) error {
	if err := unix.Mkdir(place, 0o755); err != nil {
		if errors.Is(err, unix.EEXIST) {
			return nil
		}
		return err
	}
	for _, dir := range lower {
		var st unix.Stat_t
		if unix.Lstat(dir+rel, &st) != nil {
			continue
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			_ = unix.Chown(place, int(st.Uid), int(st.Gid)) // fails for an owner without an id here
			return unix.Chmod(place, st.Mode&0o7777)
		}
		break
	}
	return nil
}

// bind shows a tree of the host's.
func (b *builder) bind(piece Piece, trees map[string]int) error {
	if len(piece.Layers) == 0 {
		return b.again(piece)
	}
	if len(piece.Layers) != 1 {
		return errors.New("a bind of more than one tree")
	}
	t := piece.Layers[0]
	fd := -1
	if t.FD == 0 {
		tree, ok := trees[t.Path]
		if !ok {
			return unix.ENOENT
		}
		var err error
		if fd, err = unix.OpenTree(tree, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE); err != nil {
			return fmt.Errorf("clone %s: %w", t.Path, err)
		}
		defer unix.Close(fd)
	} else if t.FD > len(b.fds) {
		return errors.New("its descriptor did not come")
	} else {
		fd = b.fds[t.FD-1]
	}
	// Private: a peer of the host's mount would show on the host what is mounted here, and here
	// what the host mounts.
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE}
	if !piece.Writable {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if !b.plan.has("nodev") {
		attr.Attr_set &^= unix.MOUNT_ATTR_NODEV
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("restrict it: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	on, err := b.inside(piece.At, st.Mode&unix.S_IFMT == unix.S_IFDIR)
	if err != nil {
		return err
	}
	defer unix.Close(on)
	if err := unix.MoveMount(fd, "", on, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil || piece.At != "/" {
		return err
	}
	return b.open()
}

// again mounts a place on itself. Then nobody inside can rename, remove or replace it, nor write to
// it unless the piece says so.
func (b *builder) again(piece Piece) error {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	on, err := unix.Openat2(b.root, piece.At, &how)
	if err != nil {
		return &os.PathError{Op: "open", Path: piece.At, Err: err}
	}
	defer unix.Close(on)
	fd, err := unix.OpenTree(on, "",
		unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
	if err != nil {
		return fmt.Errorf("clone %s: %w", piece.At, err)
	}
	defer unix.Close(fd)
	attr := unix.MountAttr{Propagation: unix.MS_PRIVATE}
	if !piece.Writable {
		attr.Attr_set = unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("restrict %s: %w", piece.At, err)
	}
	return unix.MoveMount(fd, "", on, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// dir makes an empty directory.
func (b *builder) dir(name string, mode int64) error {
	fd, err := b.inside(name, true)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), uint32(mode))
}

// inside opens a path in the new root. It makes the missing parts: directories, and at its end a
// directory or an empty file. Links in an image lead nowhere but into the image.
func (b *builder) inside(name string, directory bool) (int, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(b.root, name, &how)
	if !errors.Is(err, unix.ENOENT) || name == "/" || name == "." {
		if err != nil {
			err = &os.PathError{Op: "open", Path: name, Err: err}
		}
		return fd, err
	}
	parent, err := b.inside(path.Dir(name), true)
	if err != nil {
		return -1, err
	}
	defer unix.Close(parent)
	base := path.Base(name)
	if directory {
		err = unix.Mkdirat(parent, base, 0o755)
	} else if fd, err = unix.Openat(parent, base, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644); err == nil {
		_ = unix.Close(fd)
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, &os.PathError{Op: "make", Path: name, Err: err}
	}
	fd, err = unix.Openat(parent, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		err = &os.PathError{Op: "open", Path: name, Err: err}
	}
	return fd, err
}
