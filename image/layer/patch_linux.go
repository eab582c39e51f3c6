package layer

import (
	"errors"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A layer's archive may leave out the directories that its files are in, as those are in a layer
// below: there /tmp is open to all, and /root to nobody. A layer by itself cannot know, and overlay
// shows a directory as the topmost layer has it. So where that would be wrong, an image has one
// more layer on top, with nothing but these directories as they should be.

// PatchOf returns the directories that a stack of layers, bottom first, shows with the wrong owner
// or mode, and those that lead to them, as they should be. implied are the names that the layer of
// the same place made without having been told of them.
func PatchOf(dirs []string, implied []map[string]bool) (map[string]unix.Stat_t, error) {
	patch := map[string]unix.Stat_t{}
	names := map[string]bool{}
	for _, m := range implied {
		maps.Copy(names, m)
	}
	for name := range names {
		shown, told, err := metadata(dirs, implied, name)
		if err != nil {
			return nil, err
		}
		if shown == nil || told == nil || shown.Mode == told.Mode && shown.Uid == told.Uid && shown.Gid == told.Gid {
			continue
		}
		patch[name] = *told
		for up := path.Dir(name); ; up = path.Dir(up) { // the patch shows these too
			if _, known := patch[up]; !known {
				shown, told, err := metadata(dirs, implied, up)
				if err != nil {
					return nil, err
				}
				if told == nil {
					told = shown
				}
				if told == nil {
					return nil, errors.New("a directory within what is none: " + up)
				}
				patch[up] = *told
			}
			if up == "." {
				break
			}
		}
	}
	return patch, nil
}

// metadata returns a directory as overlay shows it, and as the topmost layer has it that was told
// of it; nil: there is none.
func metadata(dirs []string, implied []map[string]bool, name string) (shown, told *unix.Stat_t, err error) {
	for i, dir := range slices.Backward(dirs) {
		st, last, err := dirIn(dir, name)
		if err != nil {
			return nil, nil, err
		}
		if st != nil {
			if shown == nil {
				shown = st
			}
			if !implied[i][name] {
				return shown, st, nil
			}
		}
		if last {
			break
		}
	}
	return shown, nil, nil
}

// dirIn looks for a directory in one layer. last says that this layer hides what the ones below
// have of that name.
func dirIn(layer, name string) (_ *unix.Stat_t, last bool, err error) {
	fd, err := unix.Open(layer, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = unix.Close(fd) }()
	last = isOpaque(fd)
	for part := range strings.SplitSeq(name, "/") {
		next, err := unix.Openat(fd, part, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) {
			return nil, last, nil
		}
		if err != nil {
			return nil, false, err
		}
		_ = unix.Close(fd)
		fd = next
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return nil, false, err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return nil, true, nil
		}
		last = last || isOpaque(fd)
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	return &st, last, err
}

// WritePatch makes the directories of a patch in root.
func WritePatch(root string, patch map[string]unix.Stat_t, owners bool) error {
	names := slices.Sorted(maps.Keys(patch))
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(root, name), 0o700); err != nil {
			return err
		}
	}
	for _, name := range slices.Backward(names) { // inner ones first: one may be shut
		file, st := filepath.Join(root, name), patch[name]
		if owners {
			if err := os.Lchown(file, int(st.Uid), int(st.Gid)); err != nil {
				return err
			}
		}
		if err := unix.Chmod(file, st.Mode&0o7777); err != nil {
			return err
		}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, file, []unix.Timespec{st.Mtim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
	}
	return nil
}
