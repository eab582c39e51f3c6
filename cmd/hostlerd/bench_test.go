package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/sshconn"
)

// The benchmarks here measure whole processes against a floor in the same run, one after the other
// in turn, and print ratios. Their first loop is the measurement; b.N is not used.

// built builds the program, and one that prints a line, as the Makefile builds.
func built(b *testing.B) (hostler, bare string) {
	b.Helper()
	dir := b.TempDir()
	source := filepath.Join(dir, "bare.go")
	text := "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"a line\") }\n"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	hostler, bare = filepath.Join(dir, "hostler"), filepath.Join(dir, "bare")
	for _, args := range [][]string{{"-o", dir + "/", "../hostler", "."}, {"-o", bare, source}} {
		cmd := exec.Command("go", append([]string{"build", "-trimpath", "-ldflags", "-s -w"}, args...)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: out = %s; want no error", err, out)
		}
	}
	return hostler, bare
}

// timed is something to measure.
type timed struct {
	name string
	run  func() error
	took []time.Duration
}

func (t *timed) median() time.Duration {
	s := slices.Sorted(slices.Values(t.took))
	return s[len(s)/2]
}

// inTurn runs all of them so many times, one after the other.
func inTurn(b *testing.B, times int, all ...*timed) {
	b.Helper()
	for n := range times + 1 {
		for _, t := range all {
			start := time.Now()
			if err := t.run(); err != nil {
				b.Fatalf("%s: err = %v; want no error", t.name, err)
			}
			if n > 0 { // the first warms the files
				t.took = append(t.took, time.Since(start))
			}
		}
	}
}

func row(b *testing.B, name string, value float64, unit, promise string) {
	fmt.Printf("%-58s %8.2f %-12s %s\n", name, value, unit, promise)
	b.ReportMetric(value, strings.ReplaceAll(name, " ", "_")+"_"+strings.ReplaceAll(unit, " ", "_"))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// process is a command to measure, in a machine's environment.
func (m *machine) process(name string, argv ...string) *timed {
	return &timed{name: name, run: func() error {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir, cmd.Env = filepath.Join(m.dir, "work"), m.env
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}}
}

// BenchmarkProcesses measures starts of the program, and acquire and release as processes.
func BenchmarkProcesses(b *testing.B) {
	hostler, bare := built(b)
	m := newMachine(b)
	m.source("warm", "type = fake\nreserve = 1\n")
	floor := m.process("a Go program that prints a line", bare)
	version := m.process("hostler version", hostler, "version")
	run := m.process("hostler run local -- true", hostler, "run", "local", "--", "true")
	acquire := m.process("hostler acquire", hostler, "acquire", "-s", "warm")
	release := m.process("hostler release", hostler, "release", "--all")
	b.ResetTimer()
	inTurn(b, 41, floor, version, run, acquire, release)
	fmt.Printf("\nmedians: bare %.2f ms, version %.2f ms, run %.2f ms, acquire %.2f ms, release %.2f ms\n",
		ms(floor.median()), ms(version.median()), ms(run.median()), ms(acquire.median()), ms(release.median()))
	row(b, "hostler version / a program that prints a line", ms(version.median())/ms(floor.median()), "x", "<= 4, and 2.5 is wanted")
	row(b, "hostler run local -- true, beyond version", ms(run.median()-version.median()), "ms", "<= 10")
	row(b, "hostler acquire", ms(acquire.median()), "ms", "<= 16 (crcache: 80 to 180)")
	row(b, "hostler release", ms(release.median()), "ms", "<= 16 (crcache: 80 to 180)")
}

// BenchmarkSSH measures commands on a host behind ssh: over a kept connection, and as processes
// through the keeper.
func BenchmarkSSH(b *testing.B) {
	m, _ := sshMachine(b)
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		b.Skip("ssh: not installed")
	}
	hostler, _ := built(b)
	config := filepath.Join(m.dir, "ssh_config")
	ctx := context.Background()
	conn, err := sshconn.Dial(ctx, sshconn.Options{Host: "lab1", ConfigFile: config})
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	kept := &timed{name: "a command over the kept connection", run: func() error {
		for range 10 {
			if exit, err := conn.Run(ctx, &compute.Command{Args: []string{"true"}}); err != nil || exit.Status() != 0 {
				return fmt.Errorf("%v %w", exit, err)
			}
		}
		return nil
	}}
	fresh := m.process("ssh HOST true", ssh, "-F", config, "lab1", "true")
	b.ResetTimer()
	inTurn(b, 20, kept, fresh)

	control := filepath.Join(m.dir, "run", "control")
	master := exec.Command(ssh, "-F", config, "-M", "-S", control, "-N", "lab1")
	if err := master.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = master.Process.Kill()
		_ = master.Wait()
	}()
	until(b, "the master", func() bool { _, err := os.Stat(control); return err == nil })
	m.must("acquire", "-s", "web")
	version := m.process("hostler version", hostler, "version")
	through := m.process("ssh through a master", ssh, "-F", config, "-S", control, "lab1", "true")
	run := m.process("hostler run", hostler, "run", "web-lab1", "--", "true")
	inTurn(b, 41, version, through, run)
	fmt.Printf("\nmedians: ssh %.1f ms, a command over the kept connection %.2f ms, ssh through a master %.1f ms, hostler run %.1f ms\n",
		ms(fresh.median()), ms(kept.median())/10, ms(through.median()), ms(run.median()))
	row(b, "ssh HOST true / a command over the kept connection", ms(fresh.median())/(ms(kept.median())/10), "x", ">= 20")
	row(
		b, "hostler run / (hostler version + ssh through a master)",
		ms(run.median())/(ms(version.median())+ms(through.median())), "x", "<= 1",
	)
}
