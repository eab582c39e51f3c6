package remote

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// A command goes to the far side as a script of one line. The line is the first that its shell reads from standard input, so that neither
// values of the environment nor long arguments stand in the list of processes; "read" takes no byte beyond the line, so that what follows is
// the command's. sshBoot has nothing in it that a login shell, of whatever kind, could misread within single quotes.
const sshBoot = `IFS= read -r _hl_line && eval "$_hl_line"`

// sshMark begins the two lines that the script may write before the command's own output; a word that nobody can guess follows.
const sshMark = "\x1e"

// sshScript is how a command is started.
type sshScript struct {
	nonce   string
	command string // for the exec request
	input   string // comes before the command's standard input
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
		if !isName(k) || strings.IndexByte(v, 0) >= 0 {
			return nil, bad("no shell can set the environment variable " + k)
		}
	}
	if cmd.User != "" && !sshUserWord.MatchString(cmd.User) {
		return nil, bad(fmt.Sprintf("%q is not a user's name", cmd.User))
	}
	s := &sshScript{nonce: newNonce()}
	line := s.line(cmd, mark)
	// In a terminal the first line would be typed, and seen; so only what must not stand in the command line goes that way, without echo.
	if cmd.TTY != nil && len(cmd.Env) == 0 && len(line) < 32<<10 {
		s.command = "exec " + asUser(cmd.User, line)
		return s, nil
	}
	if cmd.TTY != nil {
		line = "stty icanon echo 2>/dev/null;" + line
	}
	s.command, s.input = "exec "+asUser(cmd.User, sshBoot), line+"\n"
	return s, nil
}

func newNonce() string {
	b := make([]byte, 12)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// asUser returns a command that has sh run a script as the user: sudo asks for no password, su needs none from root.
func asUser(user, script string) string {
	q := quoteWord(script)
	if user == "" {
		return "sh -c " + q
	}
	number := user
	if regexp.MustCompile(`^[0-9]+$`).MatchString(user) {
		number = "#" + user
	}
	return "sh -c " + quoteWord(fmt.Sprintf(`if [ "$(id -un)" = %[1]s ]; then exec sh -c %[3]s; `+
		`elif command -v sudo >/dev/null 2>&1; then exec sudo -n -H -u %[2]s -- sh -c %[3]s; `+
		`elif [ "$(id -u)" = 0 ]; then exec su -s /bin/sh %[1]s -c %[3]s; `+
		`else echo "only root may run a command as "%[1]s", and there is no sudo" >&2; exit 125; fi`, quoteWord(user), quoteWord(number), q))
}

// line is the script. Names of its own begin with _hl_, so that nothing in the command's environment changes. It writes "S PID GROUP" and what
// is in _hl_t right before it becomes the command, and "X STATUS" when the command cannot be started: 125 no such directory, 126, 127.
func (s *sshScript) line(cmd *compute.Command, mark map[string]string) string {
	var b strings.Builder
	words := append(append([]string{cmd.Dir}, cmd.Args...), slices.Collect(maps.Values(cmd.Env))...)
	if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, "\n") }) {
		b.WriteString(`_hl_n=$(printf "\nx");_hl_n=${_hl_n%x};`)
	}
	fmt.Fprintf(&b, `_hl_x(){ trap - 0;printf "\036%s X %%s\n" "$1";exit "$1";};`, s.nonce)
	switch dir := cmd.Dir; {
	case dir != "":
		if dir[0] == '-' {
			dir = "./" + dir
		}
		fmt.Fprintf(&b, "cd %s 2>/dev/null||_hl_x 125;", lineWord(dir))
	case cmd.User != "":
		b.WriteString("cd 2>/dev/null||cd /;")
	}
	for _, k := range sortedKeys(cmd.Env) {
		fmt.Fprintf(&b, "%s=%s;export %s;", k, lineWord(cmd.Env[k]), k)
	}
	for _, k := range sortedKeys(mark) {
		fmt.Fprintf(&b, "%s=%s;export %s;", k, lineWord(mark[k]), k)
	}
	if len(cmd.Args) == 0 {
		b.WriteString(`set -- "${SHELL:-/bin/sh}" -l;`)
	} else {
		fmt.Fprintf(&b, "set -- %s;", strings.Join(mapWords(cmd.Args, lineWord), " "))
	}
	b.WriteString(`case $1 in */*) _hl_p=$1;case $_hl_p in -*) _hl_p=./$_hl_p;;esac;[ -e "$_hl_p" ]||_hl_x 127;` +
		`[ -f "$_hl_p" ]&&[ -x "$_hl_p" ]||_hl_x 126;;` +
		`*) _hl_p=;_hl_s=127;set -f;IFS=:;for _hl_d in $PATH;do [ -f "${_hl_d:-.}/$1" ]||continue;_hl_s=126;` +
		`[ -x "${_hl_d:-.}/$1" ]&&_hl_p=${_hl_d:-.}/$1&&break;done;unset IFS;set +f;[ -n "$_hl_p" ]||_hl_x $_hl_s;;esac;shift;`)
	b.WriteString(`_hl_g=$$;{ read -r _hl_l </proc/$$/stat&&_hl_l=${_hl_l##*) }&&_hl_l=${_hl_l#* }&&_hl_l=${_hl_l#* }&&_hl_g=${_hl_l%% *};} 2>/dev/null;`)
	fmt.Fprintf(&b, `printf "\036%s S %%s %%s%%s\n" $$ $_hl_g "$_hl_t";trap '_hl_x $?' 0;exec "$_hl_p" "$@"`, s.nonce)
	return b.String()
}

// lineWord quotes a word so that it stands in one line, and so that no control character goes through a terminal.
func lineWord(w string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for i := 0; i < len(w); i++ {
		switch c := w[i]; {
		case c == '\'':
			b.WriteString(`'\''`)
		case c == '\n':
			b.WriteString(`'"$_hl_n"'`)
		case c < 0x20 || c == 0x7f:
			fmt.Fprintf(&b, `'"$(printf "\%03o")"'`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}
