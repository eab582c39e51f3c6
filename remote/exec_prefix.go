package remote

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"

	"github.com/hostler-project/hostler/compute"
)

// Behind a prefix command only a POSIX shell is sure to be there, and the prefix may hand on neither environment nor directory (docker exec). So a
// fixed script gets them, and the command's words, as its arguments: DIR N NAME=VALUE... WORDS. It finds the command itself: the words may begin
// with a dash, and a shell that cannot find one says so on the command's standard error. No words: the shell of that side.
const behindScript = `if [ -n "$1" ]; then cd -- "$1" || exit 125; elif [ -n "$HOME" ]; then cd; fi 2>/dev/null
n=$2; shift 2
while [ "$n" -gt 0 ]; do export "$1"; shift; n=$((n-1)); done
[ $# -gt 0 ] || exec "${SHELL:-/bin/sh}" -l
case $1 in
*/*) p=$1; case $p in -*) p=./$p;; esac; [ -e "$p" ] || exit 127; [ -f "$p" ] && [ -x "$p" ] || exit 126;;
*) p=; s=127; i=$IFS; f=$-; set -f; IFS=:
for d in $PATH; do [ -f "${d:-.}/$1" ] || continue; s=126; [ -x "${d:-.}/$1" ] && p=${d:-.}/$1 && break; done
IFS=$i; case $f in *f*);; *) set +f;; esac
[ -n "$p" ] || exit $s;;
esac
shift
exec "$p" "$@"`

// probeScript tells whether a status of 125 to 127 was our script's or the command's own: DIR NAME.
const probeScript = `if [ -n "$1" ]; then cd -- "$1" || exit 3; elif [ -n "$HOME" ]; then cd; fi 2>/dev/null
case $2 in
*/*) [ -e "$2" ] || exit 4; [ -f "$2" ] && [ -x "$2" ] || exit 5; exit 0;;
esac
s=4; set -f; IFS=:
for d in $PATH; do [ -f "${d:-.}/$2" ] || continue; [ -x "${d:-.}/$2" ] && exit 0; s=5; done
exit $s`

// behindPrefix fills in p for a command behind the prefix.
func (e *Exec) behindPrefix(p *program, cmd *compute.Command, env map[string]string) (*program, error) {
	extra := make(map[string]string) // what the far side does not know by itself
	for _, m := range []map[string]string{cmd.Env, e.opt.Mark} {
		for k, v := range m {
			extra[k] = v
		}
	}
	if cmd.TTY != nil {
		extra["TERM"] = env["TERM"]
	}
	for k := range extra {
		if !isName(k) {
			return nil, &compute.Error{Op: "exec.Run", Kind: compute.ErrCannotStart, Err: errors.New("no shell can set the environment variable " + k)}
		}
	}
	args := append([]string{}, e.opt.Prefix...)
	args = append(args, "/bin/sh", "-c", behindScript, "sh", e.farDir(cmd.Dir), strconv.Itoa(len(extra)))
	p.args = append(append(args, flatten(extra)...), cmd.Args...)
	p.name, p.env = p.args[0], flatten(env)
	var err error
	if p.path, err = exec.LookPath(p.args[0]); err != nil {
		return nil, &compute.Error{Op: "exec.Run", Kind: compute.ErrCannotStart, Err: err}
	}
	return p, nil
}

func (e *Exec) farDir(dir string) string {
	switch {
	case dir == "":
		return e.opt.Dir
	case dir[0] != '/' && e.opt.Dir != "":
		return e.opt.Dir + "/" + dir
	default:
		return dir
	}
}

// isName reports whether a shell would take k for the name of a variable.
func isName(k string) bool {
	for i := 0; i < len(k); i++ {
		c := k[i]
		if !(c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return k != ""
}

// probe looks whether a command that ended with 125 to 127 was there at all.
func (e *Exec) probe(ctx context.Context, cmd *compute.Command, exit compute.Exit) (compute.Exit, error) {
	if len(cmd.Args) == 0 {
		return exit, nil
	}
	dir := e.farDir(cmd.Dir)
	args := append(append([]string{}, e.opt.Prefix...), "/bin/sh", "-c", probeScript, "sh", dir, cmd.Args[0])
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Env = os.Environ()
	_ = c.Run() // its status says all
	kind, what := compute.ErrNoCommand, cmd.Args[0]
	switch code := c.ProcessState.ExitCode(); {
	case code == 3 && exit.Code == 125:
		kind, what = compute.ErrCannotStart, "no such directory: "+dir
	case code == 4 && exit.Code == 127:
	case code == 5 && exit.Code == 126:
		kind = compute.ErrNotExecutable
	default:
		return exit, nil
	}
	return compute.Exit{}, &compute.Error{Op: "exec.Run", Kind: kind, Err: errors.New(what)}
}
