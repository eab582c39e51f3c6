package cli

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/client/logins"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
)

// loginsFile returns the file with the user's logins.
func loginsFile() (string, error) {
	dir, err := host.StateDir()
	return filepath.Join(dir, "logins.json"), err
}

// ReadLogins reads the user's logins. If there are none, that is no error.
func ReadLogins() (logins.All, error) {
	file, err := loginsFile()
	if err != nil {
		return logins.All{}, nil // there is no directory for them, so there are none
	}
	return logins.Read(file)
}

// ChangeLogins changes the user's logins.
func ChangeLogins(change func(*logins.All)) error {
	file, err := loginsFile()
	if err != nil {
		return err
	}
	return logins.Change(file, change)
}

// Named returns the controller of --controller, $HOSTLER_CONTROLLER or hostler login. Its address
// is "" if there is none.
func (a *App) Named() (t logins.Target, err error) {
	t.Where = cmp.Or(a.Flags.Controller, os.Getenv("HOSTLER_CONTROLLER"))
	all, err := ReadLogins()
	if err != nil {
		return logins.Target{}, err
	}
	if t.Where == "" && !a.Compat {
		t.Where, t.Signed = all.Current, all.Current != ""
	}
	if address, err := logins.Address(t.Where); err == nil && strings.Contains(t.Where, "://") {
		t.Login, t.Known = all.Controllers[address]
	}
	if token, err := presented(); !t.Signed && (err != nil || token != "") {
		if err != nil {
			return logins.Target{}, err
		}
		t.Token, t.Env = token, true
	}
	t.Project, t.Reason, t.Slow = a.Project(), a.Flags.reason(), a.saySlow
	t.CA = cmp.Or(a.Flags.Ca, os.Getenv("HOSTLER_CA"), t.CA)
	if cert, key := os.Getenv("HOSTLER_CERT"), os.Getenv("HOSTLER_KEY"); cert != "" || key != "" {
		t.Cert, t.Key = cert, key
	}
	return t, nil
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
	token := strings.TrimSpace(string(b))
	if token == "" {
		return "", fault.Invalid("", "$HOSTLER_TOKEN_FILE: %s is empty", file)
	}
	return token, nil
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
