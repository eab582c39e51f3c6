package cli

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	xterm "golang.org/x/term"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
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

// Logins are all logins of a user.
type Logins struct {
	// the address of the controller to use if none is named
	Current     string           `json:"current,omitempty"`
	Controllers map[string]Login `json:"controllers"` // by address
}

// loginsFile returns the file with the logins.
func loginsFile() (string, error) {
	dir, err := host.StateDir()
	return filepath.Join(dir, "logins.json"), err
}

// ReadLogins reads the logins. If there are none, that is no error.
func ReadLogins() (out Logins, err error) {
	file, err := loginsFile()
	if err != nil {
		return Logins{}, nil // there is no directory for them, so there are none
	}
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return Logins{}, nil
	}
	if err != nil {
		return Logins{}, fault.Denied("", "%w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Logins{}, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return Logins{}, fault.Denied("chmod 600 "+file, "%s: others than its owner can read the tokens in it", file)
	}
	if err := json.NewDecoder(f).Decode(&out); err != nil {
		return Logins{}, fault.Invalid("remove it, and sign in again: hostler login URL", "%s: %w", file, err)
	}
	return out, nil
}

// ChangeLogins changes the logins. One process at a time does so.
func ChangeLogins(change func(*Logins)) error {
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
	all, err := ReadLogins()
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
func (l *Logins) Addresses() []string { return slices.Sorted(maps.Keys(l.Controllers)) }

// ControllerAddress returns the full form of a controller's address. https:// and the common end of
// all addresses may be left out.
func ControllerAddress(typed string) (string, error) {
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

// Target is a controller that was named or signed in to, with our credentials for it.
type Target struct {
	Where  string // an address, or a unix socket's
	Login         // zero: there is none for it
	Signed bool   // found by hostler login alone, not named
	Known  bool   // there is a login for it
	Env    bool   // the token comes from the environment

	project *string // the project of requests; nil: unspecified
	reason  string  // why they are made; "": they do not say
}

// Named returns the controller of --controller, $HOSTLER_CONTROLLER or hostler login. Its address
// is "" if there is none.
func (a *App) Named() (t Target, err error) {
	t.Where = cmp.Or(a.Flags.Controller, os.Getenv("HOSTLER_CONTROLLER"))
	all, err := ReadLogins()
	if err != nil {
		return Target{}, err
	}
	if t.Where == "" && !a.Compat {
		t.Where, t.Signed = all.Current, all.Current != ""
	}
	if address, err := ControllerAddress(t.Where); err == nil && strings.Contains(t.Where, "://") {
		t.Login, t.Known = all.Controllers[address]
	}
	if token, err := presented(); !t.Signed && (err != nil || token != "") {
		if err != nil {
			return Target{}, err
		}
		t.Token, t.Env = token, true
	}
	t.project, t.reason = a.Project(), a.Flags.reason()
	t.CA = cmp.Or(a.Flags.Ca, os.Getenv("HOSTLER_CA"), t.CA)
	if cert, key := os.Getenv("HOSTLER_CERT"), os.Getenv("HOSTLER_KEY"); cert != "" || key != "" {
		t.Cert, t.Key = cert, key
	}
	return t, nil
}

// Ask asks a named controller who the user is. If the controller does not know the user, the error
// says what to do.
func (t *Target) Ask(ctx context.Context) (*client.Client, api.Self, error) {
	again := &compute.Error{Kind: compute.ErrDenied, Hint: "hostler login " + t.Where}
	if t.Signed {
		again.Hint += ", or hostler logout to ask it no more"
	}
	if t.Known && !t.Env && t.Expires != nil && time.Now().After(*t.Expires) {
		again.Err = errors.New("you signed in to " + t.Where + ", and that ended at " + t.Expires.Local().Format(time.DateTime))
		return nil, api.Self{}, again
	}
	c, err := t.Dial()
	if err != nil {
		return nil, api.Self{}, err
	}
	self, err := c.Self(ctx)
	if err == nil {
		return c, self, nil
	}
	_ = c.Close()
	if errors.Is(err, compute.ErrDenied) && strings.Contains(t.Where, "://") && !t.Env {
		again.Err = err
		if t.Known && t.Token != "" {
			again.Err = errors.New("your sign-in to " + t.Where + " is good no more: it has ended, or was revoked")
		}
		return nil, api.Self{}, again
	}
	return nil, api.Self{}, err
}

// ReadToken reads a token from standard input.
func (a *App) ReadToken() (string, error) {
	var text string
	if in, ok := a.In.(*os.File); ok && term.IsTerminal(in) {
		if err := term.Printf(a.Err, "token: "); err != nil {
			return "", err
		}
		b, err := xterm.ReadPassword(int(in.Fd()))
		_ = term.Printf(a.Err, "\n")
		if err != nil {
			return "", err
		}
		text = string(b)
	} else {
		line, err := bufio.NewReader(io.LimitReader(a.In, 64<<10)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		text = line
	}
	text = strings.TrimSpace(text)
	if text == "" || strings.ContainsAny(text, " \t") {
		return "", fault.Invalid("hostler login --with-token URL <FILE", "what is on standard input is no token")
	}
	return text, nil
}

// presented returns the token of $HOSTLER_TOKEN, or of the file $HOSTLER_TOKEN_FILE; "" if there is
// none.
func presented() (string, error) {
	if t := os.Getenv("HOSTLER_TOKEN"); t != "" {
		return t, nil
	}
	file := os.Getenv("HOSTLER_TOKEN_FILE")
	if file == "" {
		return "", nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fault.Invalid("", "$HOSTLER_TOKEN_FILE: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// Project returns the named project; nil if none is named.
func (a *App) Project() *string {
	if name := cmp.Or(a.Flags.Project, os.Getenv("HOSTLER_PROJECT")); name != "" {
		return &name
	}
	return nil
}

// reason returns the user's reason for the command, on one line.
func (f *globals) reason() string {
	return strings.Join(strings.Fields(cmp.Or(f.Reason, os.Getenv("HOSTLER_REASON"))), " ")
}
