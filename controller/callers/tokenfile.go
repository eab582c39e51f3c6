package callers

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
)

// ownAlone reports whether only its owner can read a secret's file. A file of root's that the
// process's own group may read counts too, as Kubernetes gives secrets to a pod that way.
func ownAlone(info fs.FileInfo) bool {
	perm := info.Mode().Perm()
	if perm&0o077 == 0 {
		return true
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && perm&0o037 == 0 && stat.Uid == 0 && os.Geteuid() != 0 && int(stat.Gid) == os.Getegid()
}

// AdministratorToken reads the administrator's token from a file, or makes one. "": the file is
// controller.token in the state directory.
func AdministratorToken(file string) (string, error) {
	if file == "" {
		state, err := host.StateDir()
		if err == nil {
			// if the records are in a database the directory may not exist
			err = os.MkdirAll(state, 0o700)
		}
		if err != nil {
			return "", err
		}
		file = filepath.Join(state, "controller.token")
	}
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeToken(file); err == nil {
			info, err = os.Stat(file)
		}
	}
	if err != nil {
		return "", fault.Invalid("give another --token-file", "the controller's token: %w", err)
	}
	if !ownAlone(info) {
		return "", fault.Denied("chmod 600 "+file, "%s: others than its owner can read the token", file)
	}
	b, err := os.ReadFile(file)
	text := strings.TrimSpace(string(b))
	switch different := len(slices.Compact(slices.Sorted(slices.Values([]byte(text))))); {
	case err != nil:
	case len(text) < 16:
		err = fault.Invalid("remove it, and one is made", "%s: %d characters are no token: at least 16", file, len(text))
	case different < leastDifferent:
		err = fault.Invalid("remove it, and one is made", "%s: this is guessed easily: %d different characters", file, different)
	}
	return text, err
}

// leastDifferent is how many different characters a token has at least. Of 16 random hexadecimal
// digits one in twenty thousand has fewer.
const leastDifferent = 6

// makeToken writes a new token to a file, unless another controller has made one meanwhile. The
// file appears complete or not at all.
func makeToken(file string) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".token-*") // readable by its owner only
	if err != nil {
		if at := (*fs.PathError)(nil); errors.As(err, &at) {
			at.Path = file
		}
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(rand.Text() + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Link(f.Name(), file); errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
