package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
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

// computers lists what the fakes have: one file each.
func (k *killable) computers() map[string]bool {
	k.t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(filepath.Join(k.dir, "home", ".local", "state", "hostler", "instances"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasPrefix(d.Name(), "web-") {
			found[strings.TrimSuffix(d.Name(), filepath.Ext(d.Name()))] = true
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		k.t.Fatal(err)
	}
	return found
}

// TestKilledProgram kills the program at every recorded step of acquire, release and discard. The next commands repair everything: nothing is
// doubled, nothing leaks, and somebody else's computer stays.
func TestKilledProgram(t *testing.T) {
	program := filepath.Join(t.TempDir(), "hostler")
	if out, err := exec.Command("go", "build", "-tags", "failpoint", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, op := range [][]string{{"acquire", "-s", "front", "2"}, {"release", "front-web-1"}, {"discard", "front-web-1"}, {"release", "-f", "front-web-1"}} {
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

// killOnce runs the operation in a new home, dying at a step, and then checks what the next commands make of it. It returns how many steps there
// were; no more than at means that it did not die.
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
		if err := errors.Join(os.MkdirAll(filepath.Join(sources, name), 0o700), os.WriteFile(filepath.Join(sources, name, "source.conf"), []byte(conf), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
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
		t.Fatalf("%v: %v", op, err)
	}
	what := strings.Join(op, " ") + ", killed at " + strings.TrimSpace(string(names))

	k.must("status") // repairs
	var status struct {
		Instances []struct {
			Name  string `json:"instance"`
			State string `json:"state"`
		} `json:"instances"`
	}
	if err := json.Unmarshal([]byte(k.must("status", "-v", "--json")), &status); err != nil {
		t.Fatal(err)
	}
	records := map[string]bool{}
	for _, i := range status.Instances {
		if i.State != "ready" && i.State != "leased" {
			t.Fatalf("%s: %s is %s", what, i.Name, i.State)
		}
		if strings.HasPrefix(i.Name, "web-") {
			records[i.Name] = true
		}
	}
	for c := range k.computers() {
		if !records[c] {
			t.Fatalf("%s: %s leaked", what, c)
		}
	}
	for r := range records {
		if !k.computers()[r] {
			t.Fatalf("%s: %s is recorded, and does not exist", what, r)
		}
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
	if died {
		return steps + 1
	}
	return steps
}
