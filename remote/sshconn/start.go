package sshconn

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/openssh"
	"github.com/hostler-project/hostler/remote/shell"
)

// sshScript is how a command is started.
type sshScript struct {
	nonce   string
	command string // for the exec request
	input   string // comes before the command's standard input
	mark    string // the command's own, as NAME=VALUE
}

// newSSHScript writes the script for a command, or says why it can never start.
func newSSHScript(cmd *compute.Command, mark map[string]string) (*sshScript, error) {
	bad := func(why string) error {
		return &compute.Error{Op: "ssh.Run", Kind: compute.ErrCannotStart, Err: errors.New(why)}
	}
	for _, w := range append([]string{cmd.Dir}, cmd.Args...) {
		if strings.IndexByte(w, 0) >= 0 {
			return nil, bad("an argument has a NUL byte")
		}
	}
	for k, v := range cmd.Env {
		if !shell.IsName(k) || strings.IndexByte(v, 0) >= 0 {
			return nil, bad("no shell can set the environment variable " + k)
		}
	}
	if cmd.User != "" && !openssh.IsUser(cmd.User) {
		return nil, bad(fmt.Sprintf("%q is not a user's name", cmd.User))
	}
	s := &sshScript{nonce: shell.Nonce()}
	own := shell.Nonce()
	s.mark = shell.CommandMark + "=" + own
	marks := map[string]string{shell.CommandMark: own}
	maps.Copy(marks, mark)
	line := shell.Line(s.nonce, cmd, marks)
	// In a terminal the first line would be typed, and seen; so only what must not stand in the
	// command line goes that way, without echo.
	if cmd.TTY != nil && len(cmd.Env) == 0 && len(line) < 32<<10 {
		s.command = "exec " + asUser(cmd.User, line)
		return s, nil
	}
	if cmd.TTY != nil {
		line = "stty icanon echo 2>/dev/null;" + line
	}
	s.command, s.input = "exec "+asUser(cmd.User, shell.Boot), line+"\n"
	return s, nil
}

// asUser returns a command that has sh run a script as the user: sudo asks for no password, su
// needs none from root.
func asUser(user, script string) string {
	q := shell.Word(script)
	if user == "" {
		return "sh -c " + q
	}
	number := user
	if regexp.MustCompile(`^[0-9]+$`).MatchString(user) {
		number = "#" + user
	}
	return "sh -c " + shell.Word(fmt.Sprintf(`if [ "$(id -un)" = %[1]s ]; then exec sh -c %[3]s; `+
		`elif command -v sudo >/dev/null 2>&1; then exec sudo -n -H -u %[2]s -- sh -c %[3]s; `+
		`elif [ "$(id -u)" = 0 ]; then exec su -s /bin/sh %[1]s -c %[3]s; `+
		`else echo "only root may run a command as "%[1]s", and there is no sudo" >&2; exit 125; fi`, shell.Word(user), shell.Word(number), q))
}
