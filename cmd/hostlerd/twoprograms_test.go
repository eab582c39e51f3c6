package main

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/host/program"
)

// inits returns how long the packages of a program take to initialise, in milliseconds, as its
// runtime tells.
func inits(t *testing.T, path string) (all float64, each []string) {
	t.Helper()
	cmd := exec.Command(path, "version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("version: %v: %s", err, &errs)
	}
	for line := range strings.Lines(errs.String()) {
		words := strings.Fields(line) // init NAME @0.1 ms, 0.02 ms clock, ...
		if len(words) < 6 || words[0] != "init" {
			continue
		}
		took, err := strconv.ParseFloat(words[4], 64)
		if err != nil {
			t.Fatalf("the line %q has no time", line)
		}
		all += took
		each = append(each, words[4]+" ms "+words[1])
	}
	if len(each) == 0 {
		t.Fatalf("version with inittrace=1 tells of no package: %s", &errs)
	}
	return all, each
}

// TestStartsLittle holds what makes hostler start fast: the packages that it links are few and take
// little time to initialise, the fastest of many times; none of those that only hostlerd needs is
// among them; and the linker has left out methods that nothing calls.
func TestStartsLittle(t *testing.T) {
	const most, mostPackages = 1.5, 174
	path := lookIn(plainPath(t), "hostler")
	var least float64
	var each []string
	for n := range 200 { // other tests run beside
		if took, by := inits(t, path); n == 0 || took < least {
			least, each = took, by
		}
		if n >= 5 && least <= most {
			break
		}
	}
	slices.Sort(each)
	slices.Reverse(each)
	if len(each) > mostPackages {
		t.Errorf("%d packages that hostler links initialise something, want at most %d", len(each), mostPackages)
	}
	if least > most {
		t.Errorf("what hostler links takes %.2f ms to initialise, want at most %.1f:\n%s", least, most, strings.Join(each[:20], "\n"))
	}
	t.Logf("%.2f ms in %d packages", least, len(each))
	// where a method is called by a name that only the running program knows, as templates do, the
	// linker keeps all exported methods of all types
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("reflect.Value.MethodByName")) {
		t.Error("hostler links reflect.Value.MethodByName; go build -ldflags=-dumpdep shows where, by the word ReflectMethod")
	}
	out, err := exec.Command("go", "list", "-deps", "../hostler").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dep := range strings.Lines(string(out)) {
		for _, not := range []string{
			"k8s.io/", "github.com/aws/", "github.com/gophercloud/", "github.com/danielgtaylor/huma", "github.com/jackc/",
			"github.com/hostler-project/hostler/controller/server", "github.com/hostler-project/hostler/slapos/master",
			"github.com/hostler-project/hostler/slapos/node", "github.com/hostler-project/hostler/bundle/gotemplate",
			"github.com/hostler-project/hostler/store/sqlite/migration", "github.com/pressly/goose",
			"github.com/google/go-containerregistry", "github.com/opencontainers/", "github.com/docker/",
		} {
			if strings.HasPrefix(dep, not) {
				t.Errorf("hostler links %s, which is for %s", strings.TrimSpace(dep), program.Whole)
			}
		}
	}
}

// TestOlderState has hostlerd bring an older state to the present format for hostler. Without it
// hostler says what is missing, and leaves the state as it is.
func TestOlderState(t *testing.T) {
	m := newMachine(t)
	m.source("web", "type = fake\nmaximum = 2\n")
	m.must("acquire", "-s", "web", "--name", "mine")
	db := must(sql.Open("sqlite", "file:"+filepath.Join(m.state(), "state.db")))
	defer db.Close()
	for _, s := range []string{
		"ALTER TABLE sources DROP COLUMN no_room", "ALTER TABLE sources DROP COLUMN unreachable",
		"DELETE FROM goose_db_version WHERE version_id >= 10", "PRAGMA user_version = 9", "PRAGMA wal_checkpoint(TRUNCATE)",
	} {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	format := func() (n int) {
		if err := db.QueryRowContext(t.Context(), "PRAGMA user_version").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	both, alone := m.program, filepath.Join(t.TempDir(), "hostler")
	if err := copyFile(lookIn(plainPath(t), "hostler"), alone, 0o755); err != nil {
		t.Fatal(err)
	}
	m.program = alone
	if _, errs, exit := m.run("status"); exit == 0 || !strings.Contains(errs, "needs the program "+program.Whole) || format() != 9 {
		t.Errorf("alone: exit status %d, %q, format %d, want it to need %s", exit, errs, format(), program.Whole)
	}
	m.program = both
	if out := m.must("status", "web", "--query", "in-use"); out != "1\n" || format() != 11 {
		t.Errorf("got %q in use, format %d, want 1, in format 11", out, format())
	}
}

// TestGoTemplates has hostlerd expand the templates of bundles for hostler, and tell what is wrong
// with one as if hostler did it.
func TestGoTemplates(t *testing.T) {
	m := newMachine(t)
	m.program = lookIn(plainPath(t), "hostler")
	const marker = "# provision-template-type: go-template\n"
	for name, text := range map[string]string{
		"good": "echo {{.node_name | sh}}{{if ge .facts.cores 0}} \xff{{end}}", "bad": "\n{{.nod_name}}",
	} {
		dir := filepath.Join(m.home, ".config", "hostler", "bundles", name)
		if err := os.MkdirAll(filepath.Join(dir, "scripts"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(
			os.WriteFile(filepath.Join(dir, "bundle.conf"), []byte("scripts = it.sh\n"), 0o644),
			os.WriteFile(filepath.Join(dir, "scripts", "it.sh"), []byte(marker+text), 0o644),
		); err != nil {
			t.Fatal(err)
		}
		m.source(name, "type = fake\nbundles = "+name+"\n")
	}
	if out := m.must("acquire", "-s", "good"); out != "good-1\n" {
		t.Errorf("acquire: got %q, want good-1", out)
	}
	_, errs, exit := m.run("acquire", "-s", "bad")
	const want = "bad/scripts/it.sh: bundle bad: line 3: missing variable: <.nod_name>: " +
		`map has no entry for key "nod_name"; did you mean node_name?`
	if exit != 2 || !strings.Contains(errs, want) {
		t.Errorf("acquire of a bad one: exit status %d, %q, want 2 and %s", exit, errs, want)
	}
	if got, err := program.GoTemplate("x", nil, nil); err == nil {
		t.Errorf("of a program without %s beside it: got %q, want an error", program.Whole, got)
	}
}

// TestHandOver has hostler give its place to hostlerd where it lacks something: all that a process
// inherits is there, and the exit status is that of the command. Without hostlerd it does what it
// can do by itself, and says what is missing for the rest.
func TestHandOver(t *testing.T) {
	m := newMachine(t)
	m.source("web", "type = fake\nmaximum = 2\n")
	alone := t.TempDir()
	if err := copyFile(lookIn(plainPath(t), "hostler"), filepath.Join(alone, "hostler"), 0o755); err != nil {
		t.Fatal(err)
	}
	const foreign = "type = kubernetes\nmaximum = 0\nimage = x\n"
	for _, c := range []struct {
		what, foreign string
		args          []string
		needs         bool
	}{
		{"a light command", "", []string{"status"}, false},
		{"a run", "", []string{"run", "local", "--", "true"}, false},
		{"a command of hostlerd", "", []string{"source", "list"}, true},
		{"help", "", []string{"help"}, true},
		{"an unknown word", "", []string{"nope"}, true},
		{"a key", "", []string{"acquire", "-s", "web", "--key", "k"}, true},
		{"a status beside a source of a foreign kind", foreign, []string{"status"}, false},
		{"a run beside such a source", foreign, []string{"run", "local", "--", "true"}, false},
		{"a lease beside such a source", foreign, []string{"acquire", "-s", "web"}, false},
		{"such a source", foreign, []string{"acquire", "-s", "pods"}, true},
		{"a run on such a source", foreign, []string{"run", "pods", "--", "true"}, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			m := newMachine(t)
			m.source("web", "type = fake\nmaximum = 2\n")
			if c.foreign != "" {
				m.source("pods", c.foreign)
			}
			m.program = filepath.Join(alone, "hostler")
			_, errs, exit := m.run(c.args...)
			if said := strings.Contains(errs, program.Whole); (exit != 0) != c.needs || said != c.needs {
				t.Errorf("alone: exit status %d, %q, want it to need %s: %t", exit, errs, program.Whole, c.needs)
			}
			if _, err := os.Stat(filepath.Join(m.state(), "state.db")); c.needs && c.foreign == "" && err == nil {
				t.Error("it has made a state, though it did nothing")
			}
		})
	}
	// what nobody approved stops nothing
	m.program = filepath.Join(alone, "hostler")
	tree := filepath.Join(m.work, ".hostler", "sources", "evil")
	if err := os.MkdirAll(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "source.conf"), []byte(foreign), 0o644); err != nil {
		t.Fatal(err)
	}
	m.must("run", "local", "--", "true")
	if err := os.RemoveAll(filepath.Join(m.work, ".hostler")); err != nil {
		t.Fatal(err)
	}
	// hostler by another name is not what is looked for
	self := t.TempDir()
	for _, name := range []string{"hostler", program.Whole} {
		if err := copyFile(lookIn(plainPath(t), "hostler"), filepath.Join(self, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.program = filepath.Join(self, "hostler")
	if _, errs, exit := m.run("help"); exit == 0 || !strings.Contains(errs, "another program") {
		t.Errorf("beside a copy of itself: exit status %d, %q, want it to say so", exit, errs)
	}
	m.source("pods", foreign)
	m.program = lookIn(plainPath(t), "hostler")
	cmd := m.command("run", "local", "--", "sh", "-c", `cat; echo "$MINE" $PWD >&2; exit 3`)
	cmd.Env = append(cmd.Env, "MINE=my own")
	cmd.Stdin = strings.NewReader("input\n")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	if got, want := cmd.ProcessState.ExitCode(), 3; got != want || out.String() != "input\n" || errs.String() != "my own "+m.work+"\n" {
		t.Errorf("got exit status %d, %q, %q, want %d, the input, and the variable with the directory", got, &out, &errs, want)
	}
	// -C is of the directory in which the process began, for both
	if err := os.MkdirAll(filepath.Join(m.work, "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{"..": "a", "c": "a/b/c"} {
		if err := os.MkdirAll(filepath.Join(m.work, "a", "b", "c"), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := m.command("-C", dir, "run", "local", "--", "sh", "-c", "pwd -P; echo $PWD")
		cmd.Dir = filepath.Join(m.work, "a", "b")
		real, err := filepath.EvalSymlinks(filepath.Join(m.work, want))
		if err != nil {
			t.Fatal(err)
		}
		if out, err := cmd.Output(); err != nil || string(out) != real+"\n"+real+"\n" {
			t.Errorf("-C %s: got %q, %v, want %s twice", dir, out, err, real)
		}
	}
	// what the caller has open is still there
	if err := os.WriteFile(filepath.Join(m.dir, "env"), []byte("MINE=from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(m.dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd = m.command("run", "local", "--env-file", "/dev/fd/3", "--", "sh", "-c", "echo $MINE")
	cmd.ExtraFiles = []*os.File{file}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "from a file\n" {
		t.Errorf("with an open file: %v, %q, want what is in it", err, out)
	}
	// the source may be gone from the configuration, and its instances are not
	if err := os.RemoveAll(filepath.Join(m.home, ".config", "hostler", "sources", "pods")); err != nil {
		t.Fatal(err)
	}
	m.must("status")
	m.program = filepath.Join(alone, "hostler")
	m.must("status") // what was only written leaves nothing
	m.program = lookIn(plainPath(t), "hostler")
	if err := copyFile("../../docs/examples/hostler-source-dir", filepath.Join(m.dir, "hostler-source-dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.env = append(m.env, "PATH="+m.dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	m.source("own", "type = dir\nmaximum = 1\n[dir]\ndir = "+filepath.Join(m.dir, "made")+"\n")
	m.must("acquire", "-s", "own")
	if err := os.RemoveAll(filepath.Join(m.home, ".config", "hostler", "sources", "own")); err != nil {
		t.Fatal(err)
	}
	m.program = filepath.Join(alone, "hostler")
	m.must("status")
	m.must("acquire", "-s", "web")
	if _, errs, exit := m.run("run", "own-1", "--", "true"); exit != 125 || !strings.Contains(errs, program.Whole) {
		t.Errorf("an instance of a foreign kind: exit status %d, %q, want 125 and that it needs %s", exit, errs, program.Whole)
	}
	m.must("release", "--all")
	m.program = lookIn(plainPath(t), "hostler")
	// a link of another name is perhaps a former program's
	link := filepath.Join(m.dir, "crcache")
	if err := os.Symlink(m.program, link); err != nil {
		t.Fatal(err)
	}
	m.program = link
	if out, errs, exit := m.run("list-sources"); exit != 0 && !strings.Contains(errs+out, "crcache") {
		t.Errorf("called crcache: exit status %d, %q %q, want that program's", exit, out, errs)
	}
}

// TestTwoBuilds makes sure that hostlerd refuses a hostler of another build, and passes on to no
// other process who called it.
func TestTwoBuilds(t *testing.T) {
	m := newMachine(t)
	m.program = lookIn(plainPath(t), program.Whole)
	cmd := m.command("status")
	cmd.Env = append(cmd.Env, "HOSTLER_BUILD=an older one")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	said := strings.Contains(string(out), "an older one") && strings.Contains(string(out), "both programs of one build")
	if got := cmd.ProcessState.ExitCode(); got != 1 || !said {
		t.Errorf("got exit status %d, %s, want 1, both builds and what to do", got, out)
	}
	cmd = m.command("run", "local", "--", "true")
	cmd.Env = append(cmd.Env, "HOSTLER_BUILD=an older one")
	if _ = cmd.Run(); cmd.ProcessState.ExitCode() != 125 {
		t.Errorf("run: got exit status %d, want 125", cmd.ProcessState.ExitCode())
	}
	m.source("pods", "type = kubernetes\nmaximum = 0\nimage = x\n")
	m.program = lookIn(plainPath(t), "hostler")
	if env := m.must("run", "local", "--", "env"); strings.Contains(env, "HOSTLER_BUILD") {
		t.Errorf("a command has HOSTLER_BUILD in its environment:\n%s", env)
	}
}
