package bundle_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/compute"
)

// breaking loses contact when a script prints a word: what runs there runs on.
type breaking struct {
	*place
	word  string
	ended chan struct{} // closed when what ran then has ended
}

func (b *breaking) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	lost, copied := make(chan struct{}), *cmd
	var once sync.Once
	until := func(to io.Writer) io.Writer {
		return writer(func(s string) {
			select {
			case <-lost:
				return
			default:
			}
			if to != nil {
				_, _ = io.WriteString(to, s)
			}
			if strings.Contains(s, b.word) {
				once.Do(func() { close(lost) })
			}
		})
	}
	copied.Stdout, copied.Stderr = until(cmd.Stdout), until(cmd.Stderr)
	type end struct {
		exit compute.Exit
		err  error
	}
	ended := make(chan end, 1)
	go func() { // ends with the script, which the test waits for
		exit, err := b.place.Run(context.WithoutCancel(ctx), &copied)
		ended <- end{exit, err}
		select {
		case <-lost:
			close(b.ended)
		default:
		}
	}()
	select {
	case <-lost:
		return compute.Exit{}, &compute.Error{Kind: compute.ErrLost, Err: errors.New("broken pipe")}
	case e := <-ended:
		return e.exit, e.err
	}
}

func TestLostContact(t *testing.T) {
	p := newPlace(t)
	set := conf(t, map[string]string{
		"b/bundle.conf":  "scripts = 1.sh, 2.sh",
		"b/scripts/1.sh": "echo begun\nuntil [ -e " + p.path("go") + " ]; do sleep 1; done\necho x >>" + p.path("ones") + "\necho end\necho bad >&2\n",
		"b/scripts/2.sh": "echo x >>" + p.path("twos"),
	})
	b := &breaking{place: p, word: "begun\n", ended: make(chan struct{})}
	r, err := bundle.Apply(t.Context(), b, plan(t, set, bundle.PlanOptions{}, "b"), bundle.ApplyOptions{As: "self", State: p.path("state"),
		Reconnect: func(context.Context) (compute.Conn, error) {
			return p, os.WriteFile(p.path("go"), nil, 0o644)
		}})
	<-b.ended
	if err != nil || actions(r) != "1.sh done, 2.sh done" {
		t.Fatalf(`actions(r) = %s, err = %v; want no error and actions(r) == "1.sh done, 2.sh done"`, actions(r), err)
	}
	if p.read(t, "ones") != "x\n" || p.read(t, "twos") != "x\n" {
		t.Error("a script ran twice")
	}
	if o := r.Outcomes[0]; o.Stdout != "begun\nend\n" || o.Stderr != "bad\n" {
		t.Errorf("output %q, %q", o.Stdout, o.Stderr)
	}
}

// A script that was cut short, as by a reboot, is run again; one that always is, three times.
func TestCutShort(t *testing.T) {
	p := newPlace(t)
	set := conf(t, map[string]string{
		"b/bundle.conf": "scripts = 1.sh",
		// The parent of the script's session is what would write down how it ended.
		"b/scripts/1.sh": "echo x >>" + p.path("ones") + "\nkill -s KILL $PPID\n",
	})
	tries := 0
	r, err := p.apply(
		t, plan(t, set, bundle.PlanOptions{}, "b"),
		bundle.ApplyOptions{Reconnect: func(context.Context) (compute.Conn, error) { tries++; return p, nil }},
	)
	if err == nil || actions(r) != "1.sh pending" && actions(r) != "1.sh failed" {
		t.Errorf(
			"actions(r) = %s, err = %v"+
				`; want an error and (actions(r) == "1.sh pending" or actions(r) == "1.sh failed")`,
			actions(r), err,
		)
	}
	if n := strings.Count(p.read(t, "ones"), "x"); n < 1 || n > 3 {
		t.Errorf("it ran %d times", n)
	}
}

func TestVanished(t *testing.T) {
	p := newPlace(t)
	set := conf(
		t,
		map[string]string{"b/bundle.conf": "scripts = 1.sh\nfiles = " + p.path("f"), "b/files/f": "x", "b/scripts/1.sh": "exit 0"},
	)
	pl := plan(t, set, bundle.PlanOptions{}, "b")
	for n := 1; n <= 4; n++ { // look, lock, write, run
		_ = os.RemoveAll(p.path("state"))
		_ = os.Remove(p.path("f"))
		p.taken()
		p.fail = func(i int, _ *compute.Command) error {
			if i >= n {
				return &compute.Error{Kind: compute.ErrLost, Err: errors.New("no route to host")}
			}
			return nil
		}
		r, err := p.apply(t, pl, bundle.ApplyOptions{Reconnect: func(context.Context) (compute.Conn, error) { return p, nil }})
		p.fail = nil
		if !errors.Is(err, compute.ErrLost) || !strings.Contains(err.Error(), "no route to host; contact was lost 3 times") {
			t.Errorf("command %d: %v", n, err)
		}
		if n > 1 && r.Outcomes[1].Action != bundle.Pending {
			t.Errorf("command %d: %s", n, actions(r))
		}
	}
	if r, err := p.apply(t, pl, bundle.ApplyOptions{}); err != nil || actions(r) != "f unchanged, 1.sh done" {
		t.Errorf("when it is back: %s, %v", actions(r), err)
	}
}

func TestLock(t *testing.T) {
	p := newPlace(t)
	set := conf(t, map[string]string{
		"b/bundle.conf":  "scripts = 1.sh",
		"b/scripts/1.sh": "echo begun\nuntil [ -e " + p.path("go") + " ]; do sleep 1; done\necho x >>" + p.path("ones"),
	})
	pl := plan(t, set, bundle.PlanOptions{}, "b")
	// The lock of a dead process, whose number another has now.
	if err := os.MkdirAll(p.path("state"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.path("state/lock"), fmt.Appendf(nil, "0123456789abcdef %d\n", os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	begun, first := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := bundle.Apply(t.Context(), p, pl, bundle.ApplyOptions{As: "self", State: p.path("state"), Output: func(*bundle.Step) (io.Writer, io.Writer) {
			return writer(func(string) { close(begun) }), nil
		}})
		first <- err
	}()
	<-begun
	if r, err := p.apply(t, pl, bundle.ApplyOptions{LockWait: -1}); !errors.Is(err, compute.ErrConflict) ||
		!strings.Contains(err.Error(), "another apply is at work") {
		t.Errorf("beside another: %s, %v", actions(r), err)
	}
	second := make(chan string, 1)
	go func() {
		r, err := bundle.Apply(t.Context(), p, pl, bundle.ApplyOptions{As: "self", State: p.path("state")})
		second <- fmt.Sprint(actions(r), err)
	}()
	if err := os.WriteFile(p.path("go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
	if got := <-second; got != "1.sh unchanged<nil>" && got != "1.sh done<nil>" {
		t.Errorf("after another: %s", got)
	}
	if p.read(t, "ones") != "x\n" {
		t.Error("both ran it")
	}
}

// utilities are those of POSIX that we use, and no other programs.
var utilities = []string{"sh", "id", "cat", "chmod", "chown", "cksum", "dd", "df", "getconf", "kill", "ln", "ls",
	"mkdir", "mkfifo", "mv", "rm", "rmdir", "ps", "sed", "sleep", "tail", "tee", "tr",
	"uname", "wc", "touch"}

// TestPlain applies to a computer with nothing but POSIX, files of all sizes; and to one whose
// utilities are busybox.
func TestPlain(t *testing.T) {
	t.Run("posix", func(t *testing.T) { plainly(t, "") })
	t.Run("busybox", func(t *testing.T) {
		box, err := exec.LookPath("busybox")
		if err != nil {
			t.Skip("there is no busybox")
		}
		plainly(t, box)
	})
}

func plainly(t *testing.T, box string) {
	p := newPlace(t)
	bin := p.path("bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	all := utilities
	if box != "" {
		all = append(slices.Clone(utilities), "sha256sum", "setsid")
	}
	for _, u := range all {
		path, err := exec.LookPath(u)
		if box != "" {
			path, err = box, nil
		}
		if err == nil {
			if err := os.Symlink(path, filepath.Join(bin, u)); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Setenv("PATH", bin)
	files := map[string]string{"b/scripts/1.sh": "touch " + p.path("touched"), "b/pubkeys/k": key}
	list := []string{}
	for _, size := range []int{0, 1, 511, 512, 513, 1 << 20, 4<<20 + 1, 9 << 20, 3 << 20, 4 << 20, 4 << 20, 4 << 20} {
		name := fmt.Sprintf("f%d-%d", len(list), size)
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(i*7 + i>>8)
		}
		files["b/files/"+name] = string(data)
		list = append(list, p.path("new/dir/"+name))
	}
	files["b/bundle.conf"] = "scripts = 1.sh\nwhen = cores >= 1, tool.tr, os == linux\nfiles = " + strings.Join(list, ",")
	pl := plan(t, conf(t, files), bundle.PlanOptions{}, "b")
	r, err := p.apply(t, pl, bundle.ApplyOptions{})
	if err != nil {
		t.Fatalf("actions(r) = %s, err = %v; want no error", actions(r), err)
	}
	for _, f := range list {
		if got, err := os.ReadFile(f); err != nil || string(got) != files["b/files/"+filepath.Base(f)] {
			t.Errorf("%s: %d bytes, %v", f, len(got), err)
		}
	}
	p.taken()
	if r, err := p.apply(t, pl, bundle.ApplyOptions{}); err != nil || r.Changed() != 0 || p.taken() != 1 {
		t.Errorf("again: %s, %v", actions(r), err)
	}
	if err := os.WriteFile(list[4], []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r, err := p.apply(t, pl, bundle.ApplyOptions{}); err != nil || r.Changed() != 1 {
		t.Errorf("changed: %s, %v", actions(r), err)
	}
}

func TestCannotWrite(t *testing.T) {
	p := newPlace(t)
	if err := os.WriteFile(p.path("file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", p.path("link")); err != nil {
		t.Fatal(err)
	}
	set := conf(t, map[string]string{
		"b/bundle.conf": "scripts = 1.sh\nfiles = " + p.path("link") + ", " + p.path("file/below"),
		"b/files/link":  "new", "b/files/below": "x", "b/scripts/1.sh": "exit 0",
		"d/bundle.conf": "files = " + p.path("home"), "d/files/home": "x",
	})
	r, err := p.apply(t, plan(t, set, bundle.PlanOptions{}, "b"), bundle.ApplyOptions{})
	if want := "bundle b: file " + p.path("file/below") + ": failed: write: "; !errors.Is(err, compute.ErrFailed) ||
		!strings.Contains(err.Error(), want) {
		t.Errorf("%v\nwant %s", err, want)
	}
	if got := actions(r); got != "link done, below failed, 1.sh pending" {
		t.Error(got)
	}
	if p.read(t, "link") != "new" || p.read(t, "file") != "" {
		t.Error("a link was written through, and not replaced")
	}
	if _, err := p.apply(
		t, plan(t, set, bundle.PlanOptions{}, "d"), bundle.ApplyOptions{},
	); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf(`err = %v; want an error and err.Error() with "is a directory"`, err)
	}
}

func TestSecrets(t *testing.T) {
	p := newPlace(t)
	const secret = "s3cr3t-w0rd"
	set := conf(t, map[string]string{
		"b/bundle.conf": "scripts = 1.sh, 2.sh\nfiles = " + p.path("conf") + "\n[args]\ntoken = env:T\nkey = " +
			"env:K\n[file " + p.path("conf") + "]\ntemplate = yes\nmode = 0600",
		"b/files/conf": "# provision-template-type: template-string\ntoken $token\n",
		"b/scripts/1.sh": "# provision-template-type: format-string\necho the token is {token}; echo {token} >&2; " +
			"printf %s \"$HOSTLER_ARG_KEY\" | sed -n 2p\n",
		"b/scripts/2.sh":  "echo $HOSTLER_ARG_TOKEN >" + p.path("seen") + "; exit 1",
		"b/pubkeys/empty": "\n# nothing\n",
	})
	values := map[string]string{"env:T": secret, "env:K": "-- begin of it --\nt0p-s3cr3t-line\n-- end of it --"}
	pl := plan(t, set, bundle.PlanOptions{Secret: func(_ context.Context, v string) (string, bool, error) {
		value, ok := values[v]
		return value, ok, nil
	}}, "b")
	p.fail = func(_ int, cmd *compute.Command) error {
		if strings.Contains(strings.Join(cmd.Args, " ")+fmt.Sprint(cmd.Env), secret) {
			t.Error("a secret is among the arguments")
		}
		return nil
	}
	r, err := p.apply(t, pl, bundle.ApplyOptions{DryRun: true, Diff: true})
	if err != nil || strings.Contains(fmt.Sprint(r.Outcomes), secret) {
		t.Errorf("r = %+v, err = %v; want no error and fmt.Sprint(r.Outcomes) without secret", r, err)
	}
	r, err = p.apply(t, pl, bundle.ApplyOptions{})
	if err == nil || r.Outcomes[1].Stdout != "the token is ***\n***\n" || r.Outcomes[1].Stderr != "***\n" {
		t.Errorf(
			"r.Outcomes[1] = %+v, err = %v"+
				"; want an error and r.Outcomes[1].Stdout == \"the token is ***\\n***\\n\" and "+
				"r.Outcomes[1].Stderr == \"***\\n\"",
			r.Outcomes[1], err,
		)
	}
	if p.read(t, "seen") != secret+"\n" || !strings.Contains(p.read(t, "conf"), "token "+secret) {
		t.Error("it did not come there")
	}
	if out, err := exec.Command("grep", "-r", "--exclude=out", "--exclude=err", secret, p.path("state")).CombinedOutput(); err == nil {
		t.Errorf("the record has it: %s", out)
	}
}

func TestPlanErrors(t *testing.T) {
	files := map[string]string{
		"round/bundle.conf": "include = back", "back/bundle.conf": "\ninclude = round",
		"arg/bundle.conf": "include = web\n[include web]\nprot = 1", "web/bundle.conf": "[args]\nport = 80", "web/pubkeys/x~": "no key",
		"two/bundle.conf": "include = web, one\n[include web]\nport = 1", "one/bundle.conf": "include = web\n[include web]\nport = 2",
		"needs/bundle.conf": "[args]\nname = required", "file/bundle.conf": "files = /etc/x",
		"rel/bundle.conf": "files = etc/x", "up/bundle.conf": "files = /etc/../x",
		"key/bundle.conf": "", "key/pubkeys/k": "-----BEGIN OPENSSH PRIVATE KEY-----",
		"when/bundle.conf": "when = oss == linux", "mode/bundle.conf": "files = /x\n[file /x]\nmode = 999",
		"section/bundle.conf": "[arg]\nx = 1", "script/bundle.conf": "scripts = a.sh\n[script b.sh]\ntimeout = 1s",
		"time/bundle.conf":  "timeout = 5",
		"watch/bundle.conf": "scripts = a.sh\nfiles = /etc/x\n[script a.sh]\nwatch = /etc/y",
		"tmpl/bundle.conf":  "scripts = a.sh", "tmpl/scripts/a.sh": formatMarker + "\n{x}",
		"secret/bundle.conf": "[args]\nx = env:X", "owner/bundle.conf": "files = /x\n[file /x]\nowner = a b",
	}
	set := conf(t, files)
	for name, want := range map[string]string{
		"non":   `there is no bundle "non"; did you mean one?`,
		"round": "back/bundle.conf:2: include: the bundles include each other in a circle: round > back > round",
		"arg":   "arg/bundle.conf:3: prot: bundle web has no argument of that name; did you mean port?",
		"two":   "one/bundle.conf:3: port: bundle web got another value of it at two/bundle.conf:3, and is there once",
		"needs": "needs/bundle.conf:2: bundle needs needs a value for its argument name",
		"file":  "file/bundle.conf:1: bundle file: files/x: file does not exist",
		"rel":   `rel/bundle.conf:1: bundle rel: files: "etc/x" is not an absolute path`,
		"up":    "is not an absolute path without . and ..", "key": "pubkeys/k: is a private key",
		"when":    `when: "oss == linux": there is no fact "oss"; did you mean os?`,
		"mode":    `mode/bundle.conf:3: bundle mode: mode: "999" is no mode`,
		"section": "section/bundle.conf:2: bundle section: x: is in the unknown section [arg]; did you mean [args]?",
		"script":  "scripts does not name b.sh before it; did you mean a.sh?",
		"time":    `timeout: "5" is no time`,
		"watch":   "watch: script a.sh: files does not name /etc/y; did you mean /etc/x?",
		"tmpl":    `tmpl/scripts/a.sh: bundle tmpl: line 3: missing variable: "x"`,
		"secret":  "secret/bundle.conf:2: bundle secret: x: X is not set", "owner": `"a b" is no owner`,
	} {
		opt := bundle.PlanOptions{Secret: func(_ context.Context, v string) (string, bool, error) {
			if v == "env:X" {
				return "", false, errors.New("X is not set")
			}
			return "", false, nil
		}}
		if _, err := set.Plan(t.Context(), []string{name}, opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", name, err, want)
		}
	}
	_, err := set.Plan(t.Context(), []string{"web"}, bundle.PlanOptions{Vars: []bundle.Var{{Name: "prot", Value: "1"}}})
	if !errors.Is(err, compute.ErrInvalid) ||
		!strings.Contains(err.Error(), `variable "prot" is used by none of the bundles; did you mean port?`) {
		t.Errorf("a variable for nobody: %v", err)
	}
	both := conf(
		t,
		map[string]string{
			"a/bundle.conf": "files = /x", "a/files/x": "a", "b/bundle.conf": "files = /y, /x", "b/files/x": "b",
			"b/files/y": "y",
		},
	)
	p := plan(t, both, bundle.PlanOptions{Vars: []bundle.Var{{Name: "nobody", Value: "1", Standing: true}}}, "a", "b")
	if got := strings.Join(p.Warnings, "\n"); got != "/x: bundle a has it, and bundle b after it, which counts" {
		t.Errorf("warnings %s", got)
	}
	steps, err := p.Render(nil)
	if err != nil || len(steps) != 2 || steps[0].Name != "/x" || steps[0].Bundle != "b" {
		t.Errorf(
			"steps = %+v, err = %v"+
				`; want no error and len(steps) == 2 and steps[0].Name == "/x" and steps[0].Bundle == "b"`,
			steps, err,
		)
	}
}

// flood is a computer that says one line without an end, whatever it is asked.
type flood struct{ compute.Conn }

func (flood) Run(_ context.Context, cmd *compute.Command) (compute.Exit, error) {
	block := bytes.Repeat([]byte("x"), 1<<20)
	for range 512 {
		if _, err := cmd.Stdout.Write(block); err != nil {
			break
		}
	}
	return compute.Exit{}, nil
}

func TestFlood(t *testing.T) {
	pl := plan(t, conf(t, map[string]string{"b/bundle.conf": "scripts = 1.sh", "b/scripts/1.sh": "true"}), bundle.PlanOptions{}, "b")
	for _, due := range []bool{false, true} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := bundle.Apply(t.Context(), flood{}, pl, bundle.ApplyOptions{Due: due})
		runtime.ReadMemStats(&after)
		if !errors.Is(err, compute.ErrFailed) || !strings.Contains(err.Error(), "the answer breaks off") {
			t.Errorf(`err = %v; want error compute.ErrFailed and err.Error() with "the answer breaks off"`, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 700<<20 { // several times what is kept
			t.Errorf("due %v: it took %d MiB of memory", due, n>>20)
		}
	}
}
