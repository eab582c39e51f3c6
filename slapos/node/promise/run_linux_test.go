package promise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/linux/proc"
)

const somebody = 54322 // a user and a group that have no name

// part is a partition of somebody's, where we may make one, and its release.
type part struct {
	t testing.TB
	*Runner
	said []string
}

func newPart(t testing.TB) *part {
	dir := t.TempDir()
	p := &part{t: t, Runner: &Runner{Dir: filepath.Join(dir, "p0"), Software: filepath.Join(dir, "soft"),
		Env:    []string{"PATH=/usr/bin:/bin"},
		Config: Config{Master: "http://master/", Computer: "COMP", Partition: "p0", Version: "1"}}}
	p.Log = func(line string) { p.said = append(p.said, line) }
	p.do(os.Chmod(filepath.Dir(dir), 0o755))
	p.do(os.Mkdir(p.Dir, 0o750))
	if os.Getuid() == 0 {
		p.do(os.Chown(p.Dir, somebody, somebody))
	}
	return p
}

func (p *part) do(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *part) at(name string) string { return filepath.Join(p.Dir, name) }

func (p *part) script(name, text string) {
	p.t.Helper()
	write(p.t, p.at("etc/promise/"+name), "#!/bin/sh\n"+text+"\n", 0o755)
}

// plugin makes a plugin of a class's body, and the release's interpreter.
func (p *part) plugin(name, body, more string) {
	p.t.Helper()
	if _, err := os.Stat("/usr/bin/python3"); err != nil {
		p.t.Skip("plugins need /usr/bin/python3: " + err.Error())
	}
	write(p.t, filepath.Join(p.Software, "bin/buildout"), "#!/usr/bin/python3\n", 0o755)
	library, err := os.ReadFile("testdata/keeping.py")
	p.do(err)
	write(p.t, filepath.Join(p.Software, "lib/keeping.py"), string(library), 0o644)
	text := fmt.Sprintf(
		"import sys\nsys.path.insert(0, %q)\nimport json, os, time\nfrom keeping import Promise\n%s\nclass RunPromise(Promise):\n",
		filepath.Join(p.Software, "lib"), more,
	)
	for line := range strings.SplitSeq(body, "\n") {
		text += "    " + line + "\n"
	}
	write(p.t, p.at("etc/plugin/"+name), text, 0o644)
}

// run asks, and returns the results as "NAME ok|failed|was ok|was failed MESSAGE".
func (p *part) run(mode Mode, force bool) (lines []string) {
	p.t.Helper()
	results, err := p.Run(context.Background(), mode, force)
	p.do(err)
	for _, r := range results {
		word := "ok"
		if r.Failed {
			word = "failed"
		}
		if !r.Ran {
			word = "was " + word
		}
		lines = append(lines, r.Name+" "+word+" "+r.Message)
	}
	return lines
}

func (p *part) wants(what string, got []string, want ...string) {
	p.t.Helper()
	if !slices.Equal(got, want) {
		p.t.Errorf("%s: %q\nwant %q", what, got, want)
	}
}

func (p *part) text(name string) string {
	p.t.Helper()
	text, err := os.ReadFile(p.at(name))
	p.do(err)
	return string(text)
}

func TestExecutables(t *testing.T) {
	p := newPart(t)
	p.script("good", `echo fine; echo and more >&2`)
	p.script("bad.sh", `echo legacy promise; exit 3`)
	write(t, p.at("etc/promise/notes"), "text", 0o644)
	p.do(os.Mkdir(p.at("etc/promise/dir"), 0o755))
	p.wants("first", p.run(Test, true), "bad.sh failed legacy promise", "good ok fine\nand more")
	results, err := p.Run(t.Context(), Test, false)
	p.do(err)
	var f *Failure
	if err := Failed(results); !errors.As(err, &f) || err.Error() != "Promise 'bad.sh' failed with output: legacy promise" {
		t.Error(err)
	}
	p.wants("again, in the period", p.run(Anomaly, false), "bad.sh was failed legacy promise", "good was ok fine\nand more")
	var s status
	p.do(json.Unmarshal([]byte(p.text(".slapgrid/promise/result/bad.status.json")), &s))
	if s.Title != "bad" || s.Name != "bad.sh" || s.Path != p.at("etc/promise/bad.sh") || s.Took <= 0 ||
		s.Result.Kind != Test || !s.Result.Failed || s.Result.Message != "legacy promise" {
		t.Errorf("s = %+v s.Result = %+v", s, s.Result)
	}
	if _, err := time.Parse(stampDate, s.Result.Date); err != nil {
		t.Error(err)
	}
	if log := p.text(".slapgrid/promise/log/bad.log"); strings.Count(log, "\n") != 1 ||
		!strings.Contains(log, " - ERROR - ") || !strings.HasSuffix(log, " - legacy promise\n") {
		t.Errorf(
			"log = %q"+
				"; want strings.Count(log, \"\\n\") == 1 and log with \" - ERROR - \" and "+
				"strings.HasSuffix(log, \" - legacy promise\\n\")",
			log,
		)
	}
	i, err := os.Stat(p.at(".slapgrid/promise/result/bad.status.json"))
	p.do(err)
	if os.Getuid() == 0 && i.Sys().(*syscall.Stat_t).Uid != somebody {
		t.Error("the result is not the partition's")
	}
	for _, name := range []string{"notes", "dir"} {
		if !slices.ContainsFunc(p.said, func(line string) bool { return strings.Contains(line, `"`+name+`" is passed over`) }) {
			t.Errorf("nothing is said of %s: %q", name, p.said)
		}
	}
	p.script("bad.sh", `pwd; id -u; echo ${SECRET-none}`) // another file
	p.do(os.Chtimes(p.at("etc/promise/bad.sh"), time.Time{}, time.Unix(1e9, 0)))
	t.Setenv("SECRET", "seen")
	uid := fmt.Sprint(os.Getuid())
	if os.Getuid() == 0 {
		uid = fmt.Sprint(somebody)
	}
	p.wants("changed", p.run(Anomaly, false), "bad.sh ok "+p.Dir+"\n"+uid+"\nnone", "good was ok fine\nand more")
}

// TestAnomalyOfExecutables needs three failures in turn.
func TestAnomalyOfExecutables(t *testing.T) {
	p := newPart(t)
	p.script("a", `echo $(cat said); exit $(cat said)`)
	next := func(mode Mode, status string) string {
		write(t, p.at("said"), status, 0o644)
		p.do(os.RemoveAll(p.at(".slapgrid/promise/cache")))
		return p.run(mode, false)[0]
	}
	for i, c := range []struct {
		mode         Mode
		status, want string
	}{
		{Test, "1", "a failed 1"}, {Anomaly, "2", "a ok 2"}, {Anomaly, "3", "a failed 3"}, {Anomaly, "4", "a failed 4"},
		{Anomaly, "0", "a ok 0"}, {Anomaly, "5", "a ok 5"},
		{Anomaly, "6", "a ok 6"}, {Anomaly, "7", "a failed 7"}, {Test, "0", "a ok 0"}, {Test, "1", "a failed 1"},
	} {
		if got := next(c.mode, c.status); got != c.want {
			t.Errorf("%d: %s, want %s", i, got, c.want)
		}
	}
}

func TestPlugins(t *testing.T) {
	p := newPart(t)
	p.plugin("good.py", `def sense(self):
    print("to be ignored")
    os.system("echo and this")
    with open("told", "w") as told: json.dump({k: str(v) for k, v in self.config.items() if k != "queue"}, told)`, `extra_config_dict = {"periodicity": 7, "mine": "x"}`)
	p.plugin("_bad.py", `def sense(self): self.fail("no such thing")`, "")
	p.plugin("anomalies_only.py", "tested = False\ndef sense(self): pass", "")
	p.plugin("ends.py", `def sense(self): sys.exit("enough")`, "")
	p.plugin("vanishes.py", `def sense(self): os._exit(0)`, "")
	p.plugin("silent.py", `def run(self, *args): print("words")`, "")
	p.plugin("neither.py", "tested = detects = False", "")
	p.plugin("twice.py", "pass", `extra_config_dict = {"name": "x"}`)
	p.plugin("threads.py", `def sense(self):
    import threading
    threading.Thread(target=time.sleep, args=(1000,)).start()`, "")
	p.plugin("imports.py", "def sense(self): pass", "import beside")
	write(t, p.at("etc/plugin/beside.pyc"), "", 0o644)
	write(t, p.at("etc/plugin/beside.py"), "x = 1", 0o644)
	write(t, p.at("etc/plugin/1st.py"), "", 0o644)
	write(t, p.at("etc/plugin/__init__.py"), "", 0o644)
	write(t, p.at("etc/plugin/syntax.py"), "class", 0o644)
	p.script("script", "true")
	got := p.run(Test, true)
	for i, line := range got {
		line, _, _ = strings.Cut(line, "(")
		got[i], _, _ = strings.Cut(line, "\n")
	}
	p.wants("tests", got, "_bad.py failed no such thing", "beside.py failed Error: TypeError: it has no class RunPromise", "ends.py failed Error: SystemExit: enough", "good.py ok all is well",
		"imports.py ok all is well", "neither.py failed Error: ValueError: it neither tests nor detects anomalies", "silent.py failed Error: No output returned by the promise",
		"syntax.py failed Error: SyntaxError: invalid syntax ", "threads.py ok all is well", "twice.py failed Error: ValueError: its extra_config_dict gives 'name', which is given already",
		"vanishes.py failed Error: No output returned by the promise", "script ok ")
	var told map[string]string
	p.do(json.Unmarshal([]byte(p.text("told")), &told))
	want := map[string]string{"path": p.at("etc/plugin/good.py"), "name": "good.py", "partition-folder": p.Dir,
		"log-folder": p.at(".slapgrid/promise/log"), "debug": "False", "promise-timeout": "20",
		"master-url": "http://master/", "partition-cert": "", "partition-key": "", "partition-id": "p0",
		"computer-id": "COMP", "slapgrid-version": "1", "periodicity": "7", "mine": "x"}
	for key, value := range want {
		if told[key] != value {
			t.Errorf("%s is %q, want %q", key, told[key], value)
		}
	}
	if len(told) != len(want) {
		t.Errorf("told: %v", told)
	}
	var s state
	p.do(json.Unmarshal([]byte(p.text(".slapgrid/promise/cache/good")), &s))
	if next := s.Next - s.Stamp; s.Period != 7 || next < 419 || next > 421 || s.File != p.at("etc/plugin/good.py") {
		t.Errorf(`s = %+v; want s.Period == 7 and next >= 419 and next <= 421 and s.File == p.at("etc/plugin/good.py")`, s)
	}
	if _, err := os.Stat(p.at("etc/plugin/__pycache__")); err == nil {
		t.Error("a directory of bytecode was left among the plugins")
	}
	if log := p.text(".slapgrid/promise/log/_bad.log"); strings.Count(log, "\n") != 1 {
		t.Errorf("a plugin's log is written twice: %q", log)
	}
	if got := p.run(Anomaly, false); !slices.Contains(got, "anomalies_only.py ok all is well") ||
		!slices.Contains(got, "_bad.py was failed no such thing") {
		t.Errorf("anomalies: %q", got)
	}
}

// TestOneBang lets the first that fails bang, in their order, and no other.
func TestOneBang(t *testing.T) {
	p := newPart(t)
	for _, name := range []string{"a", "b", "c"} {
		p.plugin(
			name+".py", "def sense(self):\n    if self.config['name'] != 'a.py': self.fail('x')",
			`extra_config_dict = {"bang-on-failure": True}`,
		)
	}
	p.wants("tests never do", p.run(Test, true), "a.py ok all is well", "b.py failed x", "c.py failed x")
	p.wants("one", p.run(Anomaly, true), "a.py ok all is well", "b.py failed x", "c.py failed x")
	if got := p.text("bangs"); got != "b.py\n" {
		t.Errorf("got = %q; want got == \"b.py\\n\"", got)
	}
}

// TestHangs ends promises that fork, hide, do not listen or write without end, and the others have
// their say.
func TestHangs(t *testing.T) {
	p := newPart(t)
	p.Timeout = time.Second
	mark := fmt.Sprintf("PROMISE_TEST=%d", os.Getpid())
	p.Env = append(p.Env, mark)
	p.script("forks", `trap '' TERM HUP; setsid sh -c 'trap "" TERM HUP; while :; do sleep 0.05; done' & while :; do sleep 0.05; done`)
	p.script("shouts", `exec yes`)
	p.script("tidy", `trap 'echo x > tidied; exit 0' TERM; while :; do sleep 0.02; done`)
	p.script("well", `setsid sleep 1003 > /dev/null 2>&1 & echo fine`)
	p.plugin(
		"stuck.py",
		"def sense(self):\n    import signal\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    while True: time.sleep(0.05)",
		"",
	)
	const late = "Error: Promise timed out after 1 seconds"
	p.wants(
		"hanging", p.run(Test, true), "stuck.py failed "+late, "forks failed "+late, "shouts failed "+late,
		"tidy failed "+late, "well ok fine",
	)
	p.text("tidied")
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		all, err := proc.Find(proc.Marked(mark))
		p.do(err)
		left := slices.ContainsFunc(all, func(h *proc.Handle) bool { return !h.Ended() })
		proc.Close(all)
		if !left {
			break
		}
		if time.Now().After(end) {
			t.Fatal("something of a promise still runs")
		}
	}
}

// TestHostile has a partition that wants the node to write elsewhere, to wait and to read too much.
func TestHostile(t *testing.T) {
	p := newPart(t)
	out := t.TempDir()
	secret := filepath.Join(out, "secret")
	write(t, secret, "secret", 0o600)
	p.script("a", "echo said")
	for _, dir := range []string{resultDir, logDir, cacheDir, historyDir} {
		p.do(os.MkdirAll(p.at(dir), 0o777))
	}
	p.do(os.Symlink(secret, p.at(resultDir+"/a.status.json")))
	p.do(os.Symlink(secret, p.at(logDir+"/a.log")))
	p.do(os.MkdirAll(p.at(cacheDir+"/a/in"), 0o777))
	p.do(syscall.Mkfifo(p.at(historyDir+"/a.jsonl"), 0o666))
	p.wants("links", p.run(Test, true), "a ok said")
	if text, err := os.ReadFile(secret); err != nil || string(text) != "secret" {
		t.Errorf(`text = %q, err = %v; want no error and string(text) == "secret"`, text, err)
	}
	for _, name := range []string{resultDir + "/a.status.json", cacheDir + "/a"} {
		if i, err := os.Lstat(p.at(name)); err != nil || !i.Mode().IsRegular() {
			t.Errorf("%s: i = %v, err = %v; want no error and i.Mode().IsRegular()", name, i, err)
		}
	}
	write(t, p.at(resultDir+"/a.status.json"), strings.Repeat("[", maxFile-1), 0o644)
	p.wants("nonsense", p.run(Anomaly, false), "a ok said")
	p.do(os.RemoveAll(p.at(".slapgrid")))
	p.do(os.Symlink(out, p.at(".slapgrid")))
	if _, err := p.Run(t.Context(), Test, true); err == nil {
		t.Error("it wrote into a link")
	}
	if names, err := os.ReadDir(out); err != nil || len(names) != 1 {
		t.Errorf("names = %v, err = %v; want no error and len(names) == 1", names, err)
	}
	p.do(os.RemoveAll(p.at("etc")))
	p.do(os.Mkdir(p.at("etc"), 0o755))
	p.do(syscall.Mkfifo(p.at("etc/promise"), 0o666))
	if _, err := p.Run(t.Context(), Test, true); err == nil {
		t.Error("a FIFO has promises in it")
	}
	p.do(os.Remove(p.at("etc/promise")))
	p.do(os.Symlink("/usr/bin", p.at("etc/promise")))
	if got, err := p.Run(t.Context(), Test, true); err == nil {
		t.Errorf("promises of %d results were found elsewhere", len(got))
	}
}

// TestCancelled says nothing of promises whose asker has gone.
func TestCancelled(t *testing.T) {
	p := newPart(t)
	p.script("a", "echo > began; exec sleep 1000")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for {
			if _, err := os.Stat(p.at("began")); err == nil {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if got, err := p.Run(ctx, Test, true); !errors.Is(err, context.Canceled) {
		t.Errorf("got = %v, err = %v; want error context.Canceled", got, err)
	}
	if _, err := os.Stat(p.at(resultDir + "/a.status.json")); err == nil {
		t.Error("a result was kept")
	}
}

// TestNoInterpreter says what is missing.
func TestNoInterpreter(t *testing.T) {
	p := newPart(t)
	write(t, filepath.Join(p.Software, "bin/buildout"), "#!/no/such/python\n", 0o755)
	write(t, p.at("etc/plugin/a.py"), "", 0o644)
	if got := p.run(Test, true); len(got) != 1 || !strings.Contains(got[0], "/no/such/python") {
		t.Errorf(`got = %q; want len(got) == 1 and got[0] with "/no/such/python"`, got)
	}
}

// BenchmarkQuiet is the promises' part of a pass over 100 partitions of which none has one that is
// due: ns/op are of all hundred.
func BenchmarkQuiet(b *testing.B) {
	var all []*part
	for range 100 {
		p := newPart(b)
		for i := range 3 {
			p.script(fmt.Sprintf("p%d", i), "echo fine")
		}
		p.run(Test, true)
		all = append(all, p)
	}
	b.ResetTimer()
	for b.Loop() {
		for _, p := range all {
			results, err := p.Run(b.Context(), Anomaly, false)
			if err != nil || len(results) != 3 || slices.ContainsFunc(results, func(r Result) bool { return r.Ran }) {
				b.Fatalf("results = %v, err = %v", results, err)
			}
		}
	}
}
