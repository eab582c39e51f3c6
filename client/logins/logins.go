// Package logins keeps which controllers a user has signed in to, and asks one of them with what
// was kept of it.
package logins

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"github.com/hostler-project/hostler/compute/fault"
)

// Login is what hostler login stores for one controller.
type Login struct {
	Token   string     `json:"token,omitempty"`   // "": we are known by the certificate
	Name    string     `json:"name"`              // the user's name there
	Since   time.Time  `json:"since"`             // when the login was made
	Expires *time.Time `json:"expires,omitempty"` // nil: unknown
	// the file with the authority of the controller's certificate
	CA   string `json:"ca,omitempty"`
	Cert string `json:"cert,omitempty"` // the file with our certificate
	Key  string `json:"key,omitempty"`  // the file with its key
}

// All are all logins of a user. They are in one file, which only its owner may read.
type All struct {
	// the address of the controller to use if none is named
	Current     string           `json:"current,omitempty"`
	Controllers map[string]Login `json:"controllers"` // by address
}

// Read reads the logins in a file. If there is no such file, there are none.
func Read(file string) (out All, err error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return All{}, nil
	}
	if err != nil {
		return All{}, fault.Denied("", "%w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return All{}, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return All{}, fault.Denied("chmod 600 "+file, "%s: others than its owner can read the tokens in it", file)
	}
	if err := json.NewDecoder(f).Decode(&out); err != nil {
		return All{}, fault.Invalid("remove it, and sign in again: hostler login URL", "%s: %w", file, err)
	}
	return out, nil
}

// Change changes the logins in a file. One process at a time does so.
func Change(file string, change func(*All)) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(file+".lock", os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	all, err := Read(file)
	if err != nil {
		return err
	}
	if all.Controllers == nil {
		all.Controllers = map[string]Login{}
	}
	change(&all)
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(file, append(text, '\n'), 0o600)
}

// Addresses returns the addresses of all controllers, sorted.
func (l *All) Addresses() []string { return slices.Sorted(maps.Keys(l.Controllers)) }
