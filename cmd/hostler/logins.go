package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
)

// login is what hostler login keeps of one controller.
type login struct {
	Token   string     `json:"token,omitempty"`   // "": we are known by the certificate
	Name    string     `json:"name"`              // who we are there
	Since   time.Time  `json:"since"`             // we are
	Expires *time.Time `json:"expires,omitempty"` // nil: not said
	// file of the authority of the controller's certificate
	CA   string `json:"ca,omitempty"`
	Cert string `json:"cert,omitempty"` // file of our certificate
	Key  string `json:"key,omitempty"`  // and of its key
}

// logins are all of a user's.
type logins struct {
	// the address of the controller that is asked where none is named
	Current     string           `json:"current,omitempty"`
	Controllers map[string]login `json:"controllers"` // by address
}

// loginsFile is where they are.
func loginsFile() (string, error) {
	dir, err := host.StateDir()
	return filepath.Join(dir, "logins.json"), err
}

// readLogins reads them; none is no error.
func readLogins() (out logins, err error) {
	file, err := loginsFile()
	if err != nil {
		return logins{}, nil // no place for them, so there are none
	}
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return logins{}, nil
	}
	if err != nil {
		return logins{}, fault.Denied("", "%w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return logins{}, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return logins{}, fault.Denied("chmod 600 "+file, "%s: others than its owner can read the tokens in it", file)
	}
	if err := json.NewDecoder(f).Decode(&out); err != nil {
		return logins{}, fault.Invalid("remove it, and sign in again: hostler login URL", "%s: %w", file, err)
	}
	return out, nil
}

// changeLogins changes them, one process at a time.
func changeLogins(change func(*logins)) error {
	file, err := loginsFile()
	if err != nil {
		return err
	}
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
	all, err := readLogins()
	if err != nil {
		return err
	}
	if all.Controllers == nil {
		all.Controllers = map[string]login{}
	}
	change(&all)
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(file, append(text, '\n'), 0o600)
}

// addresses are those of all controllers, sorted.
func (l *logins) addresses() []string { return slices.Sorted(maps.Keys(l.Controllers)) }

// controllerAddress writes a controller's address in one way: https:// may be left out, and so may
// what every address ends with.
func controllerAddress(typed string) (string, error) {
	wrong := func(err error) error {
		return fault.Invalid("hostler login https://hostler.example.org:7070", "%q is no address of a controller: %w", typed, err)
	}
	text := typed
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", wrong(errors.Unwrap(err))
	case u.Scheme != "https" && u.Scheme != "http":
		return "", wrong(fmt.Errorf("%s:// is spoken to none", u.Scheme))
	case u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", wrong(errors.New("it is https://HOST, with a port or without"))
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == map[string]string{"https": "443", "http": "80"}[u.Scheme] {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host + strings.TrimRight(u.Path, "/"), nil
}

// target is a controller that somebody has named, or signed in to, and what we show it.
type target struct {
	where  string // an address, or a unix socket's
	login         // zero: there is none for it
	signed bool   // it is that of hostler login, which nobody has named now
	known  bool   // there is a login for it
	env    bool   // the token is the environment's

	project *string // that requests are about; nil: they do not say
	reason  string  // why they are made; "": they do not say
}

// named is the controller that --controller, $HOSTLER_CONTROLLER or hostler login says; where is ""
// for none.
func (a *app) named() (t target, err error) {
	t.where = cmp.Or(a.flags.controller, os.Getenv("HOSTLER_CONTROLLER"))
	all, err := readLogins()
	if err != nil {
		return target{}, err
	}
	if t.where == "" && !a.compat {
		t.where, t.signed = all.Current, all.Current != ""
	}
	if address, err := controllerAddress(t.where); err == nil && strings.Contains(t.where, "://") {
		t.login, t.known = all.Controllers[address]
	}
	if token, err := presented(); !t.signed && (err != nil || token != "") {
		if err != nil {
			return target{}, err
		}
		t.Token, t.env = token, true
	}
	t.project, t.reason = a.project(), a.reason()
	t.CA = cmp.Or(a.flags.ca, os.Getenv("HOSTLER_CA"), t.CA)
	if cert, key := os.Getenv("HOSTLER_CERT"), os.Getenv("HOSTLER_KEY"); cert != "" || key != "" {
		t.Cert, t.Key = cert, key
	}
	return t, nil
}
