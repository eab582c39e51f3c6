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

// Login is what hostler login keeps of one controller.
type Login struct {
	Token   string     `json:"token,omitempty"`   // "": we are known by the certificate
	Name    string     `json:"name"`              // who we are there
	Since   time.Time  `json:"since"`             // we are
	Expires *time.Time `json:"expires,omitempty"` // nil: not said
	// file of the authority of the controller's certificate
	CA   string `json:"ca,omitempty"`
	Cert string `json:"cert,omitempty"` // file of our certificate
	Key  string `json:"key,omitempty"`  // and of its key
}

// Logins are all of a user's.
type Logins struct {
	// the address of the controller that is asked where none is named
	Current     string           `json:"current,omitempty"`
	Controllers map[string]Login `json:"controllers"` // by address
}

// loginsFile is where they are.
func loginsFile() (string, error) {
	dir, err := host.StateDir()
	return filepath.Join(dir, "logins.json"), err
}

// ReadLogins reads them; none is no error.
func ReadLogins() (out Logins, err error) {
	file, err := loginsFile()
	if err != nil {
		return Logins{}, nil // no place for them, so there are none
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

// ChangeLogins changes them, one process at a time.
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

// Addresses are those of all controllers, sorted.
func (l *Logins) Addresses() []string { return slices.Sorted(maps.Keys(l.Controllers)) }

// ControllerAddress writes a controller's address in one way: https:// may be left out, and so may
// what every address ends with.
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

// Target is a controller that somebody has named, or signed in to, and what we show it.
type Target struct {
	Where  string // an address, or a unix socket's
	Login         // zero: there is none for it
	Signed bool   // it is that of hostler login, which nobody has named now
	Known  bool   // there is a login for it
	Env    bool   // the token is the environment's

	project *string // that requests are about; nil: they do not say
	reason  string  // why they are made; "": they do not say
}

// Named is the controller that --controller, $HOSTLER_CONTROLLER or hostler login says; where is ""
// for none.
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

// Ask finds out who we are to a controller that was named. Where we are nobody, or not any more, it
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

// presented is the token that we come with: $HOSTLER_TOKEN, or what is in the file that
// $HOSTLER_TOKEN_FILE names; "": none.
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

// Project is the project that was named; nil: none was.
func (a *App) Project() *string {
	if name := cmp.Or(a.Flags.Project, os.Getenv("HOSTLER_PROJECT")); name != "" {
		return &name
	}
	return nil
}

// reason is why the command is given, on one line.
func (f *globals) reason() string {
	return strings.Join(strings.Fields(cmp.Or(f.Reason, os.Getenv("HOSTLER_REASON"))), " ")
}
