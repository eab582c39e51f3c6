package doctor

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/catalog"

	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/text/units"
)

// probeScript examines a computer and prints lines of words. It changes nothing.
const probeScript = `echo "system $(uname -s) $(uname -m)"
echo "user $(id -un 2>/dev/null||id -u)"
echo "shell $SHELL"
echo "path $PATH"
if [ "$(id -u)" = 0 ];then echo "root root";elif command -v sudo >/dev/null 2>&1&&sudo -n true >/dev/null 2>&1;then echo "root sudo";fi
echo "clock $(date +%s)"
for p in tar rsync git bash;do command -v $p >/dev/null 2>&1&&echo "has $p";done
d=${XDG_CACHE_HOME:-$HOME/.cache}
case $1 in /*)d=$1;;login);;*)[ "$(id -u)" != 0 ]||d=/var/cache;;esac
while [ ! -d "$d" ]&&[ -n "$d" ];do d=${d%/*};done
d=${d:-/}
echo "place $d"
[ -w "$d" ]&&echo writable
df -Pk "$d" 2>/dev/null|while read -r fs all used free rest;do case $free in *[!0-9]*|'');;*)echo "free $free";;esac;done
df -Pi "$d" 2>/dev/null|while read -r fs all used free rest;do case $free in *[!0-9]*|'');;*)echo "inodes $all $free";;esac;done
exit 0`

// The limits beyond which doctor warns of an instance.
const (
	littleDisk   = 1 << 30
	littleInodes = 50_000
	clockOff     = 2 * time.Second
	slowStart    = 200 * time.Millisecond
)

// Instance examines a computer through a connection, and reports what a run with a tree would find
// there.
func Instance(
	ctx context.Context, what string, kind *catalog.Kind, connect func(context.Context) (compute.Conn, error),
) (out []compute.Finding) {
	// connecting, looking and starting the agent
	ctx, cancel := context.WithTimeout(ctx, 3*CheckTime)
	defer cancel()
	add := func(result, name, detail, hint string) {
		out = append(out, Finding(result, what+": "+name, detail, hint))
	}
	began := time.Now()
	conn, err := connect(ctx)
	if err != nil {
		add("fail", "reach", api.Text(err), compute.Hint(err))
		return out
	}
	defer conn.Close()
	add("ok", "reach", fmt.Sprintf("connected in %v", time.Since(began).Round(time.Millisecond)), "")
	where := "" // copies are in the machine's cache for root, else in the user's
	switch {
	case kind.SSH:
		where = "login" // always the cache of the user who logs in
	case kind.Itself:
		where, _ = host.StateDir()
	}
	began = time.Now()
	var said, wrong bytes.Buffer
	exit, err := conn.Run(
		ctx,
		&compute.Command{Args: []string{"sh", "-c", probeScript, "sh", where}, Stdout: &said, Stderr: &wrong, Aside: true},
	)
	took := time.Since(began)
	if err == nil && exit.Status() != 0 {
		err = fmt.Errorf("sh ended with %d: %s", exit.Status(), strings.TrimSpace(wrong.String()))
	}
	if err != nil {
		add("fail", "shell", api.Text(err), compute.Hint(err))
		return out
	}
	facts := map[string][]string{}
	for line := range strings.Lines(said.String()) {
		key, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		facts[key] = append(facts[key], rest)
	}
	one := func(key string) string { return cmp.Or(append(facts[key], "")[0]) }
	add("ok", "system", fmt.Sprintf("%s, as %s", cmp.Or(one("system"), "unknown"), cmp.Or(one("user"), "nobody known")), "")
	out = append(
		out, probeClock(what, one("clock"), began, took),
		probeDisk(what, one("place"), one("free"), one("inodes"), facts["writable"] != nil),
	)
	add("ok", "shell", fmt.Sprintf("%s, with PATH=%s", cmp.Or(one("shell"), "none is named"), one("path")), "")
	switch one("root") {
	case "root":
		add("ok", "root", "commands run as root", "")
	case "sudo":
		add("ok", "root", "by sudo, without a password", "")
	default:
		add(
			"skip", "root", "sudo without a password is not to be had: bundles go there by --as self alone",
			"let that user become root by sudo without a password",
		)
	}
	if kind.SSH {
		out = append(out, probeStart(ctx, what, conn))
	}
	names := strings.Join(facts["has"], " ")
	add("ok", "programs", "of tar, rsync, git and bash it has: "+cmp.Or(names, "none"), "")
	if err := probeAgent(ctx, conn); err != nil {
		add("warn", "sync", "a working tree cannot be taken there: "+api.Text(err), compute.Hint(err))
		return out
	}
	add("ok", "sync", "by hostler's agent, which needs none of these programs", "")
	return out
}

// probeClock compares clocks. took is the uncertainty.
func probeClock(what, said string, began time.Time, took time.Duration) compute.Finding {
	seconds, err := strconv.ParseInt(said, 10, 64)
	if err != nil {
		return Finding("skip", what+": clock", "the computer does not tell its time", "")
	}
	off := time.Unix(seconds, 0).Sub(began.Truncate(time.Second))
	if off >= -clockOff && off <= clockOff+took {
		return Finding("ok", what+": clock", "as here, to the second or two", "")
	}
	return Finding(
		"warn", what+": clock", fmt.Sprintf("it is %v off", off),
		"set its clock: make and others compare the times of files that go there with those that are made there",
	)
}

// probeDisk judges the free space, in KiB, and the inodes, as "TOTAL FREE". Inodes that cannot
// be read are passed over.
func probeDisk(what, place, kib, inodes string, writable bool) compute.Finding {
	c := Finding("ok", what+": disk", "", "")
	free, err := strconv.ParseInt(kib, 10, 64)
	if err != nil {
		return Finding("skip", what+": disk", "the computer does not tell how much is free in "+place, "")
	}
	c.Detail = units.FormatSize(free>>10<<20) + " free in " + place
	all, left, _ := strings.Cut(inodes, " ")
	total, err1 := strconv.ParseInt(all, 10, 64)
	files, err2 := strconv.ParseInt(left, 10, 64)
	switch {
	case !writable:
		c.Result, c.Detail, c.Hint = "warn", place+" cannot be written to",
			"copies of working trees are made there: let this user write there, or mount it so"
	case free<<10 < littleDisk:
		c.Result, c.Hint = "warn", "make room there: copies of working trees are made in it"
	case err1 == nil && err2 == nil && total > 0 && files < littleInodes:
		c.Result, c.Detail, c.Hint = "warn", fmt.Sprintf("%s, for %d files", c.Detail, files), "make room there: many files take them all"
	}
	return c
}

// probeStart measures how long the login shell's start-up files take.
func probeStart(ctx context.Context, what string, conn compute.Conn) compute.Finding {
	measure := func(args ...string) (time.Duration, error) {
		began := time.Now()
		exit, err := conn.Run(ctx, &compute.Command{Args: args, Aside: true})
		if err == nil && exit.Status() != 0 {
			err = fmt.Errorf("it ended with %d", exit.Status())
		}
		return time.Since(began), err
	}
	bare, err1 := measure("sh", "-c", ":")
	login, err2 := measure("sh", "-c", `exec "${SHELL:-sh}" -lc :`)
	if err := errors.Join(err1, err2); err != nil {
		return Finding(
			"warn", what+": start-up files", "a log-in shell does not come up: "+api.Text(err),
			"look at ~/.profile there, and what it calls",
		)
	}
	cost := max(0, login-bare).Round(time.Millisecond)
	if cost > slowStart {
		return Finding(
			"warn", what+": start-up files", fmt.Sprintf("they take %v at each log-in", cost),
			"look at ~/.profile there, and what it calls",
		)
	}
	return Finding("ok", what+": start-up files", fmt.Sprintf("they take %v", cost), "")
}

// probeAgent starts the computer's agent if needed, and checks that it keeps copies of trees.
func probeAgent(ctx context.Context, conn compute.Conn) error {
	far, ok := provider.As[provider.Workspacer](conn)
	if !ok {
		return errors.New("this way into the computer keeps no copies")
	}
	talk, err := far.Workspace(ctx, "doctor-"+rand.Text())
	if err != nil {
		return err
	}
	defer talk.Close()
	defer context.AfterFunc(ctx, func() { _ = talk.Close() })()
	w, r := workspace.NewWriter(talk, nil), workspace.NewReader(talk)
	// This name is never valid. Only an agent that keeps copies refuses it, and nothing is made.
	err = errors.Join(w.Announce(&workspace.Announce{Version: workspace.Version, Key: ".", Who: "doctor"}), w.Flush())
	if err != nil {
		return err
	}
	kind, err := r.Kind()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it does not answer")
		}
		return err
	}
	if kind != workspace.KindFailed {
		return fmt.Errorf("it answers with a message of kind %d", kind)
	}
	return nil
}
