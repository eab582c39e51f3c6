package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/provider"
)

// The files that hostler keeps, below two directories of the user's.
//
//	state    $XDG_STATE_HOME/hostler, else ~/.local/state/hostler      state.db, trust/, instances/SOURCE/{computers,log,ssh}
//	runtime  $XDG_RUNTIME_DIR/hostler, else /tmp/hostler-UID           the keeper's socket

// Home is the user's home directory, or an error that says what to set.
func Home() (string, error) {
	const hint = "set HOME, or XDG_STATE_HOME"
	h := os.Getenv("HOME")
	if !filepath.IsAbs(h) {
		return "", fault.Invalid(hint, "HOME is not set to a directory, so there is no place for the state")
	}
	// as users of the system have it, on purpose
	if info, err := os.Stat(h); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return "", fault.Invalid(hint, "HOME is %s, and there is no such directory, so there is no place for the state", h)
	}
	return h, nil
}

// StateDir is the directory of what must not be lost. It is not made here.
func StateDir() (string, error) {
	// a relative one is to be ignored, says its specification
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "hostler"), nil
	}
	h, err := Home()
	if err != nil {
		return "", err
	}
	return filepath.Join(h, ".local", "state", "hostler"), nil
}

// RuntimeDir is the directory of sockets, made here if need be. It is ours alone: whoever could put
// a socket there could read what we send.
func RuntimeDir() (string, error) {
	if d := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) && private(d) == nil {
		return ownDir(filepath.Join(d, "hostler"))
	}
	return ownDir(filepath.Join("/tmp", "hostler-"+strconv.Itoa(os.Getuid())))
}

// ownDir makes a directory that only we may enter, or makes sure that it is one.
func ownDir(dir string) (string, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if err := private(dir); err != nil {
		return "", fault.Denied("remove it, or set XDG_RUNTIME_DIR to a directory of your own", "%v", err)
	}
	return dir, nil
}

// private reports why a directory is not ours alone: another's, a link, or open to others.
func private(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	sys, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case !ok || int(sys.Uid) != os.Getuid():
		return fmt.Errorf("%s belongs to another user", dir)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s is open to others (mode %#o)", dir, info.Mode().Perm())
	}
	return nil
}

// imagesDir is the store of images; "": there is none.
func imagesDir() string {
	dir, err := CacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "images")
}

// AnswersCommand is the first of the words that start runAnswers.
const AnswersCommand = "answer-names"

// userDirs are the directories of this user that providers have to know.
func userDirs() (o provider.Dirs) {
	if self, err := os.Executable(); err == nil {
		o.Answers = []string{self, AnswersCommand, "/etc/resolv.conf"}
	}
	if h := os.Getenv("HOME"); filepath.IsAbs(h) {
		o.Home = h
	}
	if dir, err := StateDir(); err == nil {
		o.State, o.Network = append(o.State, dir), filepath.Join(dir, "network")
	}
	if dir, err := CacheDir(); err == nil {
		o.State = append(o.State, dir)
	}
	if dir, err := RuntimeDir(); err == nil {
		o.State, o.Masks = append(o.State, dir), filepath.Join(dir, "masks")
	}
	if d := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(d) {
		o.State = append(o.State, filepath.Join(d, "hostler"))
	} else if o.Home != "" {
		o.State = append(o.State, filepath.Join(o.Home, ".config", "hostler"))
	}
	return o
}
