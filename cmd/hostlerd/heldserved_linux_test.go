package main

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDetachedTakesPlace leaves a run to itself where the source lets one run at a time: the next
// waits until it has ended, and its record is complete, though its recorder is killed in the
// middle. It is the same with a controller, and by one that is started in between.
func TestDetachedTakesPlace(t *testing.T) {
	for _, served := range []bool{false, true} {
		t.Run(map[bool]string{false: "embedded", true: "served"}[served], func(t *testing.T) {
			m, _ := sshMachine(t)
			path := plainPath(t)
			m.program = lookIn(path, "hostler") // one that has an agent
			t.Setenv("PATH", path)
			m.source(
				"few",
				"type = ssh\nhosts = lab1\nconcurrency = 1\n[ssh]\nconfig-file = "+filepath.Join(m.dir, "ssh_config")+"\ntimeout = 5s\n",
			)
			var stop func()
			serve := func() {
				if served {
					startController(t, m.env, m.work, m.runtime(), func(end func()) { stop = end }, "--no-fill")
				}
			}
			serve()
			defer func() {
				if served {
					stop()
				}
			}()
			m.must("acquire", "-s", "few", "--name", "far")
			word := "held-" + rand.Text()
			// which needs no place
			touch := func(name string) { m.must("cp", "empty", "far:"+word+name) }
			if err := os.WriteFile(filepath.Join(m.work, "empty"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			unless := func(name string) string { return "until test -e " + word + name + "; do sleep 0.05; done; " }
			id := strings.TrimSpace(m.must("run", "far", "--detach", "--", "sh", "-c",
				"echo one; "+unless("more")+"echo two; "+unless("go")+"echo three >&2; echo first >>"+word+"order; exit 5"))
			logged := func(want string) {
				t.Helper()
				until(t, "that the record has "+want, func() bool { out, errs, _ := m.run("logs", id); return out+errs == want })
			}
			logged("one\n")

			// Its recorder is killed: the next who asks starts another, which goes on where the
			// record ends.
			pid := recorderOf(t, id)
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			until(t, "the recorder's end", func() bool { return !alive(strconv.Itoa(pid)) })
			touch("more")
			logged("one\ntwo\n")
			if out := m.must("runs"); !strings.Contains(out, id) || !strings.Contains(out, " detached ") {
				t.Errorf("runs: %s", out)
			}
			if served { // who is started anew has no place in hand, and asks the computer
				stop()
				serve()
			}

			next := m.command("run", "far", "--", "sh", "-c", "echo second >>"+word+"order")
			var said bytes.Buffer
			next.Stderr = &said
			if err := next.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second) // in which it would run if it did not wait
			touch("go")
			if err := next.Wait(); err != nil {
				t.Fatalf("the next run: %v, %s", err, &said)
			}
			if order := m.must("run", "far", "--", "sh", "-c", "cat "+word+"order; rm -f "+word+"*"); order != "first\nsecond\n" {
				t.Errorf("they ran in the order %q", order)
			}
			until(t, "its record's end", func() bool { return strings.Contains(m.must("runs", "show", id), "end        5\n") })
			if out, errs, exit := m.run("logs", id, "-f"); out != "one\ntwo\n" || errs != "three\n" || exit != 0 {
				t.Errorf("logs: %q, %q, %d", out, errs, exit)
			}
			if out, errs, exit := m.run("attach", id, "--all"); exit != 5 || out != "one\ntwo\n" || errs != "three\n" {
				t.Errorf("attach: exit status %d, %q, %q", exit, out, errs)
			}
			m.must("release", "far")
		})
	}
}

// recorderOf waits for the process that records a run.
func recorderOf(t *testing.T, id string) (pid int) {
	t.Helper()
	until(t, "a recorder", func() bool {
		all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, f := range all {
			if b, err := os.ReadFile(f); err == nil && bytes.HasSuffix(b, []byte("\x00recorder\x00"+id+"\x00")) {
				pid, _ = strconv.Atoi(filepath.Base(filepath.Dir(f)))
				return pid > 0
			}
		}
		return false
	})
	return pid
}
