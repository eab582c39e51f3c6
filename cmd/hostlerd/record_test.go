package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/run/runlog"
)

// recordedRuns are the runs of a machine's user, the newest first.
func recordedRuns(t *testing.T, m *machine) (out []runlog.Record) {
	t.Helper()
	text, errs, exit := m.run("runs", "--json")
	if err := json.Unmarshal([]byte(text), &out); exit != 0 || err != nil {
		t.Fatalf("runs: %d, %v\n%s%s", exit, err, text, errs)
	}
	return out
}

// TestRunKilled: a run whose hostler was killed is seen as lost, with what it had written.
func TestRunKilled(t *testing.T) {
	m := newMachine(t)
	cmd, line, _ := m.start("run", "local", "--", "sh", "-c", "echo begun; exec sleep 600")
	if line != "begun" {
		t.Fatalf(`line = %q; want line == "begun"`, line)
	}
	if all := recordedRuns(t, m); len(all) != 1 || all[0].State != runlog.Running || !all[0].Begun {
		t.Errorf("while it runs: %+v", all)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	all := recordedRuns(t, m)
	if len(all) != 1 || all[0].State != runlog.Lost || all[0].Instance != "local-local" || all[0].Exit != nil {
		t.Errorf("after it was killed: %+v", all)
	}
	if out, errs, exit := m.run("logs", all[0].ID, "-f"); out != "begun\n" || exit != 0 {
		t.Errorf("its output: %q, %s", out, errs)
	}
	if out, _, _ := m.run("runs", "--failed"); !strings.Contains(out, all[0].ID) {
		t.Errorf("runs --failed: %s", out)
	}
}

// TestRunsAtOnce: each of several runs at once has its own record.
func TestRunsAtOnce(t *testing.T) {
	m := newMachine(t)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			if out, errs, exit := m.run("run", "local", "-c", fmt.Sprintf("echo $HOSTLER_RUN; exit %d", i)); exit != i || len(out) != 9 {
				t.Errorf("run %d: %d, %q, %s", i, exit, out, errs)
			}
		})
	}
	all.Wait()
	seen := map[int]bool{}
	for _, r := range recordedRuns(t, m) {
		if r.Exit == nil {
			t.Fatalf("r = %+v; want r.Exit != nil", r)
		}
		seen[*r.Exit] = true
		if out, _, _ := m.run("logs", r.ID); strings.TrimSpace(out) != r.ID {
			t.Errorf("run %s wrote %q", r.ID, out)
		}
	}
	if len(seen) != 4 {
		t.Errorf("recorded: %v", seen)
	}
}

// mostMemory is the most memory that a process has had so far, in bytes.
func mostMemory(t *testing.T, pid int) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(data)
	if err != nil || m == nil {
		t.Fatalf("its memory: %v", err)
	}
	n, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return n << 10
}

// TestRunSlowReader: a command that writes faster than anybody reads waits, in bounded memory, and
// everything arrives.
func TestRunSlowReader(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("/proc: only Linux tells the most memory of a process")
	}
	m := newMachine(t)
	measure := func(size int64) int64 {
		cmd := m.command("run", "local", "-c", fmt.Sprintf("head -c %d /dev/zero; read line", size))
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
		log := &runlog.Log{Dir: filepath.Join(m.home, ".local", "state", "hostler", "runs")}
		until(t, "the command writes, and nobody reads", func() bool {
			for _, id := range log.IDs() {
				if rec, err := log.Find(id); err == nil && rec.State == runlog.Running {
					n, err := log.Copy(io.Discard, id, "stdout", 0)
					return err == nil && n > 0
				}
			}
			return false
		})
		if n, err := io.CopyN(io.Discard, out, size); err != nil {
			t.Fatalf("%d of %d bytes: %v", n, size, err)
		}
		most := mostMemory(t, cmd.Process.Pid)
		_ = in.Close()
		if rest, err := io.ReadAll(out); len(rest) > 0 || err != nil {
			t.Errorf("more than was written: %d, %v", len(rest), err)
		}
		_ = cmd.Wait()
		return most
	}
	const large = 128 << 20
	small, most := measure(1<<20), measure(large)
	if most-small > large/2 {
		t.Errorf("%d MiB of output need %d MiB, and 1 MiB needs %d MiB", large>>20, most>>20, small>>20)
	}
	if r := recordedRuns(t, m)[0]; r.Bytes.Stdout != large {
		t.Errorf("recorded as %d bytes", r.Bytes.Stdout)
	}
	if out, _, _ := m.run("logs", "last"); len(out) < 8<<20 || len(out) > 8<<20+100 || !strings.Contains(out, " bytes are not kept here]") {
		t.Errorf("%d bytes are kept", len(out))
	}
}

// TestSecretsUnseen: while a command runs, the value of a secret is in no process's arguments, and
// after it in no file of ours.
func TestSecretsUnseen(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("/proc: only Linux shows what processes were called with")
	}
	m := newMachine(t)
	secret := rand.Text()
	file := filepath.Join(m.work, "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, line, _ := m.start("run", "local", "--secret", "TOKEN=file:"+file, "-c", `echo "$TOKEN"; echo "$TOKEN" >&2; exec sleep 600`)
	if line != secret {
		t.Fatalf("the command got %q", line)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(processes) == 0 {
		t.Fatal(err)
	}
	for _, p := range processes {
		if words, err := os.ReadFile(p); err == nil && bytes.Contains(words, []byte(secret)) {
			t.Errorf("%s has it: %q", p, words)
		}
	}
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	_ = os.Remove(file)
	looked := 0
	err = filepath.WalkDir(m.home, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		looked++
		if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, []byte(secret)) {
			t.Errorf("%s has it", path)
		}
		return nil
	})
	if err != nil || looked == 0 {
		t.Errorf("%d files, %v", looked, err)
	}
	if out, errs, _ := m.run("logs", "last"); out != "***\n" || errs != "***\n" {
		t.Errorf("recorded: %q, %q", out, errs)
	}
}
