package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// syncBench is a working tree, and commands that take it to a host or a sandbox.
type syncBench struct {
	b    *testing.B
	m    *machine
	tree string
	all  []*cost
}

// cost is a command, and what it has cost.
type cost struct {
	name      string
	argv      []string
	before    func() error // not measured; nil: nothing
	took, cpu []time.Duration
}

func half(all []time.Duration) time.Duration { return slices.Sorted(slices.Values(all))[len(all)/2] }

// once runs it; nothing of it is kept the first time.
func (s *syncBench) once(c *cost, keep bool) {
	s.b.Helper()
	if c.before != nil {
		if err := c.before(); err != nil {
			s.b.Fatalf("%s: %v", c.name, err)
		}
	}
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Dir, cmd.Env = s.tree, s.m.env
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil {
		s.b.Fatalf("%s: %v: %s", c.name, err, out)
	}
	if keep {
		c.took, c.cpu = append(c.took, took), append(c.cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	}
}

func (s *syncBench) add(name string, before func() error, argv ...string) *cost {
	c := &cost{name: name, argv: argv, before: before}
	s.all = append(s.all, c)
	return c
}

// measure runs all of them in turn, and prints what each took.
func (s *syncBench) measure(rounds int) {
	s.b.Helper()
	for n := range rounds + 1 {
		for _, c := range s.all {
			s.once(c, n > 0)
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("\n%d rounds, load %s%-46s %8s %8s %8s %8s\n", rounds, load, "", "median", "min", "p90", "CPU, ms")
	for _, c := range s.all {
		sorted := slices.Sorted(slices.Values(c.took))
		fmt.Printf(
			"%-46s %8.1f %8.1f %8.1f %8.1f\n", c.name, ms(half(c.took)), ms(sorted[0]), ms(sorted[len(sorted)*9/10]),
			ms(half(c.cpu)),
		)
	}
	s.all = nil
}

// plant makes a git work tree of so many files of 600 bytes.
func plant(b *testing.B, m *machine, dir string, files int) {
	b.Helper()
	body := bytes.Repeat([]byte("some text\n"), 60)
	for i := range files {
		name := filepath.Join(dir, fmt.Sprintf("d%02d", i/100), fmt.Sprintf("file%04d", i))
		if err := errors.Join(
			os.MkdirAll(filepath.Dir(name), 0o755),
			os.WriteFile(name, fmt.Appendf(body[:len(body):len(body)], "%d\n", i), 0o644),
		); err != nil {
			b.Fatal(err)
		}
	}
	cmd := exec.Command("sh", "-c", "git init -q && git add -A && git -c user.name=a -c user.email=a@example.org commit -qm x")
	cmd.Dir, cmd.Env = dir, m.env
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: out = %s; want no error", err, out)
	}
}

// BenchmarkSync measures runs that take the working tree along, on a host of the lab over ssh,
// beside what plain tools take for it: floor A is ssh over a master, floor B rsync and ssh over
// one. It prints the table of what is aimed for with its ratios. With -short it goes round twice,
// to see that all of it works.
func BenchmarkSync(b *testing.B) {
	rounds := 15
	if testing.Short() {
		rounds = 2
	}
	for _, tool := range []string{"rsync", "ssh", "git"} {
		if _, err := exec.LookPath(tool); err != nil {
			b.Skipf("BenchmarkSync: no %s", tool)
		}
	}
	hostler, _ := built(b)
	m, kv := sshMachine(b)
	m.program = hostler
	m.must("acquire", "-s", "web", "--name", "far")
	host := strings.TrimSpace(m.must("run", "far", "--", "hostname"))
	n := strings.TrimPrefix(host, "lab")
	sockets, err := os.MkdirTemp("", "h")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(sockets) })
	ssh := "ssh -F " + filepath.Join(m.dir, "ssh_config") + " -o ControlPath=" + filepath.Join(sockets, "master")
	sh := func(script string) error {
		cmd := exec.Command("sh", "-c", script)
		cmd.Env = m.env
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", script, err, out)
		}
		return nil
	}
	if err := sh(ssh + " -f -N -o ControlMaster=yes " + host + " </dev/null >/dev/null 2>&1"); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = sh(ssh + " -O exit " + host) })

	s := &syncBench{b: b, m: m, tree: filepath.Join(m.dir, "work")}
	version := s.add("hostler version", nil, hostler, "version")
	a := s.add("floor A: ssh true", nil, "sh", "-c", "exec "+ssh+" "+host+" true")
	plain := s.add("hostler run --no-sync true", nil, hostler, "run", "far", "--no-sync", "--", "true")
	s.measure(rounds)
	row(b, "run without a tree / floor A and a start", ms(half(plain.took))/(ms(half(a.took))+ms(half(version.took))), "x", "<= 1")
	row(b, "hostler version", ms(half(version.took)), "ms", "<= 10")
	for _, size := range []struct {
		files              int
		same, changed, cpu float64
	}{{100, 0.5, 0.6, 15}, {5000, 0.3, 0.4, 60}} {
		s.tree = filepath.Join(m.dir, fmt.Sprintf("tree%d", size.files))
		if err := os.Mkdir(s.tree, 0o755); err != nil {
			b.Fatal(err)
		}
		plant(b, m, s.tree, size.files)
		there := fmt.Sprintf("/root/copy%d", size.files)
		floor := []string{
			"sh", "-c",
			"git ls-files -co --exclude-standard -z | rsync -a --from0 --files-from=- -e '" + ssh + "' . " + host + ":" + there + "/ && " + ssh + " " + host + " true",
		}
		ours := []string{hostler, "run", "far", "--sync", "--", "true"}
		count := 0
		edit := func() error {
			count++
			return os.WriteFile(filepath.Join(s.tree, "d00", "file0007"), fmt.Appendf(nil, "changed %d\n", count), 0o644)
		}
		label := func(what string) string { return fmt.Sprintf("%d files, %s", size.files, what) }
		same, floorSame := s.add(label("unchanged"), nil, ours...), s.add(label("unchanged: floor B"), nil, floor...)
		changed, floorChanged := s.add(label("one changed"), edit, ours...), s.add(label("one changed: floor B"), edit, floor...)
		s.measure(rounds)
		aim := func(x float64) string { return fmt.Sprintf("<= %g", x) }
		row(b, label("unchanged / floor B"), ms(half(same.took))/ms(half(floorSame.took)), "x", aim(size.same))
		row(b, label("one changed / floor B"), ms(half(changed.took))/ms(half(floorChanged.took)), "x", aim(size.changed))
		row(b, label("unchanged: CPU"), ms(half(same.cpu)), "ms", aim(size.cpu))
		where := strings.TrimSpace(run(b, s, hostler, "run", "far", "--sync", "--", "sh", "-c", `echo "$HOSTLER_WORKSPACE"`))
		gone := func() error {
			meta := filepath.Join(filepath.Dir(where), ".hostler", filepath.Base(where))
			return errors.Join(
				os.RemoveAll(kv["root"+n]+where), os.RemoveAll(kv["root"+n]+meta),
				os.RemoveAll(filepath.Join(m.dir, "home", ".cache", "hostler", "sync")),
			)
		}
		cold, floorCold := s.add(label("first"), gone, ours...), s.add(
			label("first: floor B"), func() error { return os.RemoveAll(kv["root"+n] + there) }, floor...,
		)
		s.measure(min(rounds, 7))
		row(b, label("first / floor B"), ms(half(cold.took))/ms(half(floorCold.took)), "x", "<= 1")
	}
	processes(b, s, hostler)
	sandboxed(b, s, hostler, rounds)
}

// run runs a command in the tree, and returns what it printed.
func run(b *testing.B, s *syncBench, argv ...string) string {
	b.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = s.tree, s.m.env
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%q: err = %v: out = %s; want no error", argv, err, out)
	}
	return string(out)
}

// processes counts the programs that an unchanged run starts on this machine, itself among them.
func processes(b *testing.B, s *syncBench, hostler string) {
	if _, err := exec.LookPath("strace"); err != nil {
		return
	}
	file := filepath.Join(s.m.dir, "programs")
	run(b, s, "strace", "-f", "-qq", "-e", "trace=execve", "-o", file, hostler, "run", "far", "--sync", "--", "true")
	text, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	row(b, "programs started by an unchanged run", float64(strings.Count(string(text), " = 0\n")), "", "<= 2")
}

// sandboxed takes the tree into a sandbox.
func sandboxed(b *testing.B, s *syncBench, hostler string, rounds int) {
	if _, errs, exit := s.m.run("acquire", "-s", "sandbox", "--name", "box"); exit != 0 {
		b.Logf("no sandbox here: %s", errs)
		return
	}
	bare := s.add("sandbox: run without a tree", nil, hostler, "run", "box", "--cwd", "/", "--", "true")
	same := s.add("sandbox: 5000 files, unchanged", nil, hostler, "run", "box", "--sync", "--", "true")
	s.measure(rounds)
	row(b, "sandbox: 5000 files, unchanged", ms(half(same.took)), "ms", "<= 40")
	row(b, "sandbox: the tree's part of that", ms(half(same.took)-half(bare.took)), "ms", "")
	s.m.must("release", "--all")
}
