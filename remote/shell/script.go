package shell

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// A command goes to the far side as a script of one line. The line is the first that its shell
// reads from standard input, so that neither values of the environment nor long arguments stand in
// the list of processes; "read" takes no byte beyond the line, so that what follows is the
// command's. Boot has nothing in it that a login shell, of whatever kind, could misread within
// single quotes.
const Boot = `IFS= read -r _hl_line && eval "$_hl_line"`

// mark begins the two lines that the script may write before the command's own output; a word that
// nobody can guess follows.
const mark = "\x1e"

// Nonce returns a word that nobody can guess, for one script.
func Nonce() string {
	// The runtime's generator, ChaCha8 seeded by the kernel: crypto/rand would cost the agent,
	// which this is linked into, a tenth of its start.
	return fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
}

// Line is the script. Names of its own begin with _hl_, so that nothing in the command's
// environment changes. It writes "S PID GROUP" and what is in _hl_t right before it becomes the
// command, and "X STATUS" when the command cannot be started: 125 no such directory, 126, 127.
func Line(nonce string, cmd *compute.Command, mark map[string]string) string {
	var b strings.Builder
	words := append(append([]string{cmd.Dir}, cmd.Args...), slices.Collect(maps.Values(cmd.Env))...)
	if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, "\n") }) {
		b.WriteString(`_hl_n=$(printf "\nx");_hl_n=${_hl_n%x};`)
	}
	fmt.Fprintf(&b, `_hl_x(){ trap - 0;printf "\036%s X %%s\n" "$1";exit "$1";};`, nonce)
	switch dir := cmd.Dir; {
	case dir != "":
		if dir[0] == '-' {
			dir = "./" + dir
		}
		fmt.Fprintf(&b, "cd %s 2>/dev/null||_hl_x 125;", lineWord(dir))
	case cmd.User != "":
		b.WriteString("cd 2>/dev/null||cd /;")
	}
	for _, k := range slices.Sorted(maps.Keys(cmd.Env)) {
		fmt.Fprintf(&b, "%s=%s;export %s;", k, lineWord(cmd.Env[k]), k)
	}
	for _, k := range slices.Sorted(maps.Keys(mark)) {
		fmt.Fprintf(&b, "%s=%s;export %s;", k, lineWord(mark[k]), k)
	}
	if len(cmd.Args) == 0 {
		b.WriteString(`set -- "${SHELL:-/bin/sh}" -l;`)
	} else {
		b.WriteString("set --")
		for _, a := range cmd.Args {
			b.WriteString(" " + lineWord(a))
		}
		b.WriteString(";")
	}
	b.WriteString(`case $1 in */*) _hl_p=$1;case $_hl_p in -*) _hl_p=./$_hl_p;;esac;[ -e "$_hl_p" ]||_hl_x 127;` +
		`[ -f "$_hl_p" ]&&[ -x "$_hl_p" ]||_hl_x 126;;` +
		`*) _hl_p=;_hl_s=127;set -f;IFS=:;for _hl_d in $PATH;do [ -f "${_hl_d:-.}/$1" ]||continue;_hl_s=126;` +
		`[ -x "${_hl_d:-.}/$1" ]&&_hl_p=${_hl_d:-.}/$1&&break;done;unset IFS;set +f;[ -n "$_hl_p" ]||_hl_x $_hl_s;;esac;shift;`)
	b.WriteString(
		`_hl_g=$$;{ read -r _hl_l </proc/$$/stat&&_hl_l=${_hl_l##*) }&&_hl_l=${_hl_l#* }&&_hl_l=${_hl_l#* }&&` +
			`_hl_g=${_hl_l%% *};} 2>/dev/null;`,
	)
	fmt.Fprintf(&b, `printf "\036%s S %%s %%s%%s\n" $$ $_hl_g "$_hl_t";trap '_hl_x $?' 0;exec "$_hl_p" "$@"`, nonce)
	return b.String()
}

// lineWord quotes a word so that it stands in one line, and so that no control character goes
// through a terminal.
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

// IsName reports whether a shell would take k for the name of a variable.
func IsName(k string) bool {
	for i := 0; i < len(k); i++ {
		c := k[i]
		if !(c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return k != ""
}
