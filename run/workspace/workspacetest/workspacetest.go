// Package workspacetest is the test suite for connections that keep workspaces on a computer. It
// checks that a tree arrives unchanged, is kept up to date, and has one user at a time.
package workspacetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace/scan"
	"github.com/hostler-project/hostler/run/workspace/send"
)

// Options say what is tested.
type Options struct {
	Conn func(*testing.T) compute.Conn // opens a connection to one computer; the suite closes it
	User string                        // another user there who may run commands; "": none is tried
}

// patience is the time limit of a step, enough for a slow machine.
const patience = 2 * time.Minute

// suite has a local tree and the name of its copy.
type suite struct {
	opt  Options
	root string
	key  string // of the copy
}

// Run runs the suite. The computer needs a POSIX shell and a few programs, as in busybox.
func Run(t *testing.T, opt Options) {
	for name, test := range map[string]func(*testing.T, *suite){
		"Arrives": arrives, "Changes": changes, "Drift": drift, "InTurn": inTurn, "Large": large, "User": user,
	} {
		t.Run(name, func(t *testing.T) { test(t, &suite{opt: opt, root: t.TempDir(), key: "suite-" + rand.Text()}) })
	}
}

// write writes a file of the local tree.
func (s *suite) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	name = filepath.Join(s.root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func (s *suite) open(t *testing.T) compute.Conn {
	t.Helper()
	conn := s.opt.Conn(t)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// scan lists the tree.
func (s *suite) scan(t *testing.T) *scan.Tree {
	t.Helper()
	tree, err := scan.Scan(t.Context(), scan.Options{Dir: s.root, Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func (s *suite) options(user string) send.Options {
	return send.Options{
		Key: s.key + user, Who: "the suite", User: user, Compress: true,
		State: filepath.Join(s.root+".state", "known"+user),
	}
}

// run updates the copy and runs a script in it, which must end with status 0. It returns the
// script's output.
func (s *suite) run(t *testing.T, conn compute.Conn, opt send.Options, script string) (string, send.Result) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	session, err := send.Begin(ctx, conn, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	res, err := session.Sync(ctx, s.scan(t))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	exit, err := conn.Run(
		ctx,
		&compute.Command{Args: []string{"sh", "-c", script}, User: opt.User, Workspace: session.Token(), Stdout: &out, Stderr: &out},
	)
	if err != nil || exit.Status() != 0 {
		t.Fatalf("%s: %+v, %v: %s", script, exit, err, out.String())
	}
	return out.String(), res
}

// arrives sends a tree with odd names.
func arrives(t *testing.T, s *suite) {
	s.write(t, "a b", "one", 0o644)
	s.write(t, "d/e/f\nnewline", "two", 0o600)
	s.write(t, "-rf", "three", 0o644)
	s.write(t, "program", "#!/bin/sh\necho ran\n", 0o755)
	s.write(t, "bytes\xff\xfe", "four", 0o644)
	s.write(t, strings.Repeat("n", 255), "five", 0o644)
	s.write(t, strings.Repeat("deep/", 20)+"file", "six", 0o644)
	if err := os.Symlink("d/e", filepath.Join(s.root, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.root, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	when := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(s.root, "a b"), when, when); err != nil {
		t.Fatal(err)
	}
	conn := s.open(t)
	script := fmt.Sprintf(`cat 'a b' 'd/e/f
newline' ./-rf "$(printf 'bytes\377\376')" %s %sfile && ./program && test -d empty && cat link/f* && test -L link && test ! -x 'a b' && test program -nt 'a b' && test "$HOSTLER_WORKSPACE" = "$PWD"`,
		strings.Repeat("n", 255), strings.Repeat("deep/", 20))
	const want = "onetwothreefourfivesixran\ntwo"
	if got, res := s.run(t, conn, s.options(""), script); got != want || res.Written == 0 {
		t.Errorf("there it is %q with %+v, want %q", got, res, want)
	}
	if got, res := s.run(t, conn, s.options(""), script); got != want || res.Written != 0 || res.Turns != 1 || res.Files != 0 {
		t.Errorf("unchanged it is %q with %+v", got, res)
	}
}

// changes changes the local tree in all ways.
func changes(t *testing.T, s *suite) {
	for _, name := range []string{"file", "dir/file", "gone", "mode", "tolink", "todir"} {
		s.write(t, name, name, 0o644)
	}
	conn := s.open(t)
	s.run(t, conn, s.options(""), "echo built >output")
	for _, name := range []string{"gone", "tolink", "todir", "dir"} {
		if err := os.RemoveAll(filepath.Join(s.root, name)); err != nil {
			t.Fatal(err)
		}
	}
	s.write(t, "file", "changed", 0o644)
	s.write(t, "todir/in", "in", 0o644)
	s.write(t, "dir", "a file", 0o644)
	if err := os.Symlink("file", filepath.Join(s.root, "tolink")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(s.root, "mode"), 0o755); err != nil {
		t.Fatal(err)
	}
	got, res := s.run(t, conn, s.options(""), "cat file todir/in dir tolink output && test -x mode && test ! -e gone && test -L tolink")
	if got != "changedina filechangedbuilt\n" || res.Turns != 1 {
		t.Errorf("there it is %q with %+v", got, res)
	}
}

// drift lets commands change the copy.
func drift(t *testing.T, s *suite) {
	s.write(t, "file", "as here", 0o644)
	s.write(t, "other", "too", 0o644)
	s.write(t, "dir/link", "plain", 0o644)
	conn := s.open(t)
	s.run(
		t, conn, s.options(""),
		`printf 'not so' >file; rm other; mkdir "$HOSTLER_WORKSPACE.out" && rm -r dir && ln -s "$HOSTLER_WORKSPACE.out" dir`,
	)
	got, _ := s.run(
		t, conn, s.options(""),
		`cat file other dir/link && test ! -L dir && ls "$HOSTLER_WORKSPACE.out" && rm -r "$HOSTLER_WORKSPACE.out"`,
	)
	if got != "as heretooplain" {
		t.Errorf("after a command has changed it: %q", got)
	}
}

// inTurn lets two sessions want the same copy.
func inTurn(t *testing.T, s *suite) {
	s.write(t, "file", "text", 0o644)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	first, second := s.open(t), s.open(t)
	session, err := send.Begin(ctx, first, s.options(""))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if _, err := session.Sync(ctx, s.scan(t)); err != nil {
		t.Fatal(err)
	}
	waits, came := make(chan string, 1), make(chan error, 1)
	opt := s.options("")
	opt.Waiting = func(who string) {
		select {
		case waits <- who:
		default:
		}
	}
	tree := s.scan(t)
	go func() {
		next, err := send.Begin(ctx, second, opt)
		if err == nil {
			_, err = next.Sync(ctx, tree)
			_ = next.Close()
		}
		came <- err
	}()
	select {
	case who := <-waits:
		if who != "the suite" {
			t.Errorf("it waits for %q", who)
		}
	case err := <-came:
		t.Fatalf("the second one did not wait: %v", err)
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
	if err := <-came; err != nil {
		t.Error(err)
	}
}

// large changes a byte of a file that is too large for one message.
func large(t *testing.T, s *suite) {
	text := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
	s.write(t, "large", string(text), 0o644)
	conn := s.open(t)
	const script = "wc -c <large; tail -c 4 large"
	if got, _ := s.run(t, conn, s.options(""), script); strings.TrimSpace(got) != "3200000\ncdef" {
		t.Errorf("there it is %q", got)
	}
	copy(text[len(text)-2:], "yz")
	s.write(t, "large", string(text), 0o644)
	if got, _ := s.run(t, conn, s.options(""), script); strings.TrimSpace(got) != "3200000\ncdyz" {
		t.Errorf("changed it is %q", got)
	}
}

// user has the copy belong to another user, who may change anything in it.
func user(t *testing.T, s *suite) {
	if s.opt.User == "" {
		t.Skip("no other user can run commands there")
	}
	s.write(t, "dir/file", "text", 0o644)
	if err := os.Symlink("file", filepath.Join(s.root, "dir", "link")); err != nil {
		t.Fatal(err)
	}
	conn := s.open(t)
	const script = "echo more >>dir/file && echo new >dir/new && chmod 700 dir && mv dir other && mkdir dir && touch made && id -un"
	if got, _ := s.run(t, conn, s.options(s.opt.User), script); strings.TrimSpace(got) != s.opt.User {
		t.Errorf("as another user it printed %q", got)
	}
	if err := os.Chmod(filepath.Join(s.root, "dir", "file"), 0o755); err != nil {
		t.Fatal(err)
	}
	got, _ := s.run(
		t, conn, s.options(s.opt.User),
		"cat dir/file dir/link other/new && test -x dir/file && touch dir/again && rm -r other made dir",
	)
	if got != "texttextnew\n" {
		t.Errorf("the second time it is %q", got)
	}
}
