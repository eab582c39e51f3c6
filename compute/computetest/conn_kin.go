package computetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// kinScript starts descendants of every kind, none of which heeds a polite signal. Each writes its
// own identity to a file in $1. Then it prints "ready" and does $2.
const kinScript = `d=$1; me='read -r l </proc/$$/stat; echo "$l" >"$0/.$1"; mv "$0/.$1" "$0/$1"; trap "" INT TERM HUP; while :; do ` + nap + `; done'
sh -c "$me" "$d" child </dev/null >/dev/null 2>&1 &
setsid sh -c "$me" "$d" session </dev/null >/dev/null 2>&1 &
setsid sh -c 'sh -c "$0" "$1" daemon & ' "$me" "$d" </dev/null >/dev/null 2>&1
setsid sh -c 'setsid sh -c "$0" "$1" grandchild & wait' "$me" "$d" </dev/null >/dev/null 2>&1 &
env -i PATH="$PATH" setsid sh -c "$me" "$d" bare </dev/null >/dev/null 2>&1 &
env -i PATH="$PATH" setsid sh -c 'sh -c "$0" "$1" hidden & ' "$me" "$d" </dev/null >/dev/null 2>&1
for f in child session daemon grandchild bare hidden; do until [ -s "$d/$f" ]; do ` + nap + `; done; done
echo ready
eval "$2"`

// kinLook prints which descendants that kinScript started are alive; with a word for $2 it kills
// them. A process that has reused a number is not counted.
const kinLook = `now(){ l=${1##*) }; set -- $l; s=$1; shift 19; t=$1; }
for f in "$1"/*; do read -r was <"$f" || continue
p=${was%% *}; now "$was"; then=$t; is=; { read -r is <"/proc/$p/stat"; } 2>/dev/null; [ -n "$is" ] || continue
now "$is"; [ "$t" = "$then" ] && [ $s != Z ] && [ $s != X ] || continue
echo "${f##*/}"; [ -z "$2" ] || kill -9 $p; done; :`

// kin are the names of the descendants that kinScript starts.
var kin = []string{"bare", "child", "daemon", "grandchild", "hidden", "session"}

const linger = `while :; do ` + nap + `; done`

var kinCases = []connCase{
	{"DescendantsCancel", func(t *connTest) {
		for _, tty := range []*compute.Size{nil, {Rows: 24, Cols: 80}} {
			ctx, cancel := context.WithCancel(t.ctx())
			dir, r := t.family(ctx, compute.Command{TTY: tty}, linger)
			cancel()
			if _, err := r.end(); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want the context's error", err)
			}
			t.extinct(t.conn, dir)
		}
	}},
	{"DescendantsSignal", func(t *connTest) { // of a command that ends by it
		for _, sig := range []string{"INT", "TERM", "KILL"} {
			signals := make(chan string, 1)
			dir, r := t.family(t.ctx(), compute.Command{Signals: signals}, linger)
			signals <- sig
			if exit, err := r.end(); err != nil || exit.Signal != sig {
				t.Errorf("%s: got %+v, %v", sig, exit, err)
			}
			t.extinct(t.conn, dir)
		}
	}},
	{"DescendantsEnd", func(t *connTest) {
		dir, r := t.family(t.ctx(), compute.Command{}, "exit 3")
		if exit, err := r.end(); err != nil || exit != (compute.Exit{Code: 3}) {
			t.Errorf("got %+v, %v", exit, err)
		}
		if !t.opt.Marked {
			t.extinct(t.conn, dir)
		} else {
			t.same("what stays", strings.Fields(t.sh(kinLook, dir, "")), kin)
		}
	}},
	{"DescendantsClose", func(t *connTest) { // as by the end of a client
		dir, r := t.family(t.ctx(), compute.Command{}, linger)
		other := t.opt.New(t.T)
		t.Cleanup(func() { _ = other.Close() })
		t.bury(dir) // once more, as the connection that family had for it is closed
		_ = t.conn.Close()
		if _, err := r.end(); err == nil {
			t.Error("it has come to an end")
		}
		t.extinct(other, dir)
		t.conn = other
	}},
}

// family starts a command with descendants of every kind that then does what then says. It returns
// when they run.
func (t *connTest) family(ctx context.Context, cmd compute.Command, then string) (dir string, r *running) {
	t.Helper()
	if t.run(compute.Command{Args: []string{
		"sh", "-c", "test -r /proc/self/stat && command -v setsid && command -v env",
	}}).exit != (compute.Exit{}) {
		t.Skip("Descendants: the computer has no /proc, setsid or env to see them with")
	}
	dir = strings.TrimSpace(t.sh(`i=1; while ! mkdir "$1/kin$i" 2>/dev/null; do i=$((i+1)); done; echo "$1/kin$i"`, t.scratch()))
	t.bury(dir)
	cmd.Args = []string{"sh", "-c", kinScript, "sh", dir, then}
	r = t.background(ctx, cmd)
	r.until("ready")
	return dir, r
}

// bury kills the descendants of a family that are still there at the test's end.
func (t *connTest) bury(dir string) {
	t.Cleanup(func() {
		end, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, _ = t.conn.Run(end, &compute.Command{Args: []string{"sh", "-c", kinLook, "sh", dir, "kill"}})
	})
}

// extinct waits until none of a family is left, except for those that cannot be found.
func (t *connTest) extinct(conn compute.Conn, dir string) {
	t.Helper()
	var all []string
	for late := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		all = slices.DeleteFunc(strings.Fields((&connTest{T: t.T, conn: conn, opt: t.opt}).sh(kinLook, dir, "")), func(name string) bool {
			return t.opt.Marked && (name == "hidden" || name == "bare")
		})
		if len(all) == 0 {
			return
		}
		if time.Now().After(late) {
			break
		}
	}
	t.Errorf("they live on: %v", all)
}
