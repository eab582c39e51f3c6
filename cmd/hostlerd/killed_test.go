package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/fake"
)

// killable is the real program, built so that it can be killed at each recorded step.
type killable struct {
	t       *testing.T
	program string
	dir     string
	env     []string
}

func (k *killable) hostler(extra []string, args ...string) (string, error) {
	cmd := exec.Command(k.program, args...)
	cmd.Dir = filepath.Join(k.dir, "work")
	cmd.Env = append(append(os.Environ(), k.env...), extra...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = errors.Join(err, errors.New(string(exit.Stderr)))
	}
	return string(out), err
}

func (k *killable) must(args ...string) string {
	k.t.Helper()
	out, err := k.hostler(nil, args...)
	if err != nil {
		k.t.Fatalf("hostler %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// somebodyElse is another installation, which has a computer in the same place.
const somebodyElse = "somebody-else"

// fakes is where the computers of the source web are.
func (k *killable) fakes() string {
	return filepath.Join(k.dir, "home", ".local", "state", "hostler", "instances", "web", "computers")
}

// computers lists what is there, ours and somebody else's: a file
// INSTALLATION,SOURCE,NAME.computer.json each.
func (k *killable) computers() (ours, others []string) {
	k.t.Helper()
	files, err := filepath.Glob(filepath.Join(k.fakes(), "*.computer.json"))
	if err != nil {
		k.t.Fatal(err)
	}
	for _, f := range files {
		parts := strings.Split(strings.TrimSuffix(filepath.Base(f), ".computer.json"), ",")
		if len(parts) != 3 || parts[1] != "web" {
			k.t.Fatalf("whose file is %s?", f)
		}
		if parts[0] == somebodyElse {
			others = append(others, parts[2])
		} else {
			ours = append(ours, parts[2])
		}
	}
	slices.Sort(ours)
	return ours, others
}

// foreign puts a computer of another installation beside ours.
func (k *killable) foreign() {
	k.t.Helper()
	f, err := fake.Open(
		k.t.Context(), slog.New(slog.DiscardHandler),
		fake.Options{Source: "web", Installation: somebodyElse, Dir: k.fakes(), State: "disk"},
	)
	if err == nil {
		_, err = f.Create(k.t.Context(), compute.Spec{ID: "web-99", Source: "web", Installation: somebodyElse})
	}
	if err != nil {
		k.t.Fatal(err)
	}
}

// compare sees that what is recorded is what is there, that it is at rest, and that the other
// installation's computer stays. It returns the names.
func (k *killable) compare(what string) []string {
	k.t.Helper()
	var status struct {
		Instances []struct {
			Name  string `json:"name"`
			State string `json:"state"`
		} `json:"instances"`
	}
	if err := json.Unmarshal([]byte(k.must("status", "-v", "--json")), &status); err != nil {
		k.t.Fatal(err)
	}
	var records []string
	for _, i := range status.Instances {
		if i.Name == "" || i.State != "ready" && i.State != "leased" {
			k.t.Fatalf("%s: %q is %s", what, i.Name, i.State)
		}
		if strings.HasPrefix(i.Name, "web-") {
			records = append(records, i.Name)
		}
	}
	slices.Sort(records)
	ours, others := k.computers()
	if !slices.Equal(ours, records) {
		k.t.Fatalf("%s: recorded are %v, and there are %v", what, records, ours)
	}
	if !slices.Equal(others, []string{"web-99"}) {
		k.t.Fatalf("%s: of somebody else's computers there are %v", what, others)
	}
	return records
}

// TestKilledProgram kills the program at every recorded step of acquire, release and discard. The
// next commands repair everything: nothing is doubled, nothing leaks, and somebody else's computer
// stays.
func TestKilledProgram(t *testing.T) {
	program := filepath.Join(t.TempDir(), "hostler")
	if err := goBuild("-tags", "failpoint", "-o", program, "."); err != nil {
		t.Fatal(err)
	}
	for _, op := range [][]string{
		{"acquire", "-s", "front", "2"}, {"acquire", "--key=once", "-s", "front", "2"}, {"release", "front-web-1"},
		{"discard", "front-web-1"}, {"release", "-f", "front-web-1"},
	} {
		t.Run(strings.Join(op[:2], " "), func(t *testing.T) {
			for at := 0; ; at++ {
				steps := killOnce(t, program, op, at)
				if steps <= at {
					if at < 3 {
						t.Fatalf("%v has %d steps only", op, at)
					}
					t.Logf("killed at %d steps", at)
					return
				}
			}
		})
	}
}

// killOnce runs the operation in a new home, dying at a step, and then checks what the next
// commands make of it. It returns how many steps there were; no more than at means that it did not
// die.
func killOnce(t *testing.T, program string, op []string, at int) int {
	t.Helper()
	dir := t.TempDir()
	k := &killable{t: t, program: program, dir: dir, env: environment(t, dir)}
	run, err := os.MkdirTemp("", "hostler") // sockets have short names
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(run)
	k.env = append(k.env, "XDG_RUNTIME_DIR="+run)
	sources := filepath.Join(dir, "home", ".config", "hostler", "sources")
	for name, conf := range map[string]string{
		"web":   "type = fake\nmaximum = 3\nreserve = 1\n\n[fake]\nrun = exec\n",
		"front": "type = pool\nsources = web\n",
	} {
		if err := errors.Join(
			os.MkdirAll(filepath.Join(sources, name), 0o700),
			os.WriteFile(filepath.Join(sources, name, "source.conf"), []byte(conf), 0o600),
		); err != nil {
			t.Fatal(err)
		}
	}
	k.foreign()
	if op[0] != "acquire" {
		if out := k.must("acquire", "-s", "front"); out != "front-web-1\n" {
			t.Fatalf("acquire gave %q", out)
		}
	}
	list := filepath.Join(dir, "steps")
	told, err := k.hostler([]string{"HOSTLER_STEPS=" + list, "HOSTLER_DIE=" + strconv.Itoa(at)}, op...)
	names, _ := os.ReadFile(list)
	steps := strings.Count(string(names), "\n")
	died := err != nil && strings.Contains(err.Error(), "signal: killed")
	if err != nil && !died {
		t.Fatalf("%v: err = %v; want no error or died", op, err)
	}
	what := strings.Join(op, " ") + ", killed at " + strings.TrimSpace(string(names))

	k.must("status") // repairs
	records := k.compare(what)
	if op[1] == "--key=once" { // the same again is the same, or was nothing
		again := k.must(op...)
		if told != "" && again != told {
			t.Fatalf("%s: %q was given, and again %q", what, told, again)
		}
		if out := k.must("status", "--query", "in-use", "front"); out != "2\n" {
			t.Fatalf("%s: asked again, in use are %s", what, out)
		}
		told = again
		records = k.compare(what + ", asked again")
	}
	switch names := strings.Fields(told); {
	case op[0] == "acquire" && len(names) > 0 && len(records) < len(names):
		t.Fatalf("%s: %v were given, and recorded are %v", what, names, records)
	case op[1] == "front-web-1" && !slices.Equal(records, []string{"web-1"}):
		// of web one is wanted, whatever becomes of what was in front of it
		t.Fatalf("%s: recorded are %v", what, records)
	}
	for _, name := range strings.Fields(told) { // what was told holds
		if out := k.must("run", name, "--", "echo", "here"); out != "here\n" {
			t.Fatalf("%s: %s gave %q", what, name, out)
		}
	}
	k.must("release", "--all")
	if out := k.must("status", "--query", "in-use", "front"); out != "0\n" {
		t.Fatalf("%s: then in use: %s", what, out)
	}
	if out := k.must("acquire", "-s", "front", "3"); len(strings.Fields(out)) != 3 {
		t.Fatalf("%s: then not all can be acquired: %s", what, out)
	}
	if all := k.compare(what + ", then all acquired"); len(all) != 3 {
		t.Fatalf("%s: then recorded are %v", what, all)
	}
	if died {
		return steps + 1
	}
	return steps
}
