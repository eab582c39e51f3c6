package main

import (
	"bufio"
	"crypto/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/linux/proc"
)

// TestSyncKilled kills the client of a run with a tree at many moments: while it looks, connects,
// sends, while the command runs and what it made is brought back. Each time the next run has the
// tree as it is here, nobody waits, and nothing of the one before runs on, daemons included.
func TestSyncKilled(t *testing.T) {
	m, _ := sshMachine(t)
	m.program = lookIn(plainPath(t), "hostler") // one that has an agent
	file := func(name string) string { return filepath.Join(m.work, name) }
	for _, source := range []string{"local", "web", "sandbox"} {
		t.Run(source, func(t *testing.T) {
			m.t = t
			name := source
			// there it ends with the lease what was begun less than a fifth of a second before
			if source != "local" {
				if _, errs, exit := m.run("acquire", "-s", source, "--name", "at-"+source); exit != 0 {
					if source == "sandbox" && os.Getenv("HOSTLER_REQUIRE_LAB") == "" {
						t.Skipf("sandbox: %s", errs)
					}
					t.Fatal(errs)
				}
				name = "at-" + source
			}
			for _, moment := range []time.Duration{0, 50 * time.Millisecond, 150 * time.Millisecond, 400 * time.Millisecond, -1, -2} {
				mark, text := rand.Text(), make([]byte, 3<<20)
				_, _ = rand.Read(text)
				if err := os.WriteFile(file("large"), text, 0o644); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file("f"), []byte(mark), 0o644); err != nil {
					t.Fatal(err)
				}
				then := "exec sleep 4321"
				if moment == -2 {
					then = "exit 0" // and 32 MiB are to be collected
				}
				cmd := m.command("run", name, "--sync", "-e", "KILLED="+mark, "--artifact", "out", "--", "sh", "-c",
					`(setsid sh -c 'sleep 4321 & sleep 4321' </dev/null >/dev/null 2>&1 &); head -c 33554432 /dev/zero >out; echo begun; `+then)
				out, err := cmd.StdoutPipe()
				if err == nil {
					err = cmd.Start()
				}
				if err != nil {
					t.Fatal(err)
				}
				if moment >= 0 {
					time.Sleep(moment) // whatever it is at then
				} else if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
					t.Fatalf("line = %q err = %v; want no error", line, err)
				}
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				if got := m.must(
					"run", name, "--wait", "2m", "--sync", "--", "sh", "-c", "cat f; cksum <large",
				); !strings.HasPrefix(got, mark) {
					t.Errorf("killed at %v: the next run has %q, want %q", moment, got, mark)
				} else if want := m.must(
					"run", "local", "--wait", "2m", "--no-sync", "--cwd", m.work, "--", "sh", "-c", "cksum <large",
				); got != mark+want {
					t.Errorf("killed at %v: the next run has another large file: %q, want %q", moment, got, want)
				}
				nobody(t, "KILLED="+mark)
			}
			if source != "local" {
				m.must("release", name)
			}
			until(t, "that all is given back", func() bool { return m.must("status", "--query", "in-use") == "0\n" })
		})
	}
}

// nobody waits until no process of this machine, which has those of the lab too, has an entry in
// its environment.
func nobody(t *testing.T, entry string) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		all, err := proc.Find(proc.Marked(entry))
		proc.Close(all)
		if err == nil && len(all) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d processes with %s run on, %v", len(all), entry, err)
		}
	}
}

// TestAgentKilled kills the agent on a host behind ssh under a run with a tree: the run says that
// contact is lost, nothing of it runs on, daemons included, and the next one has another agent and
// the tree as it is here.
func TestAgentKilled(t *testing.T) {
	m, _ := sshMachine(t)
	m.program = lookIn(plainPath(t), "hostler") // one that has an agent
	m.must("acquire", "-s", "web", "--name", "far")
	mark := rand.Text()
	if err := os.WriteFile(filepath.Join(m.work, "f"), []byte(mark), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := m.command("run", "far", "--sync", "-e", "KILLED="+mark, "--", "sh", "-c",
		`(setsid sh -c 'sleep 4321 & sleep 4321' </dev/null >/dev/null 2>&1 &); sleep 1; echo begun; exec sleep 4321`)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("line = %q err = %v; want no error", line, err)
	}
	all, err := proc.Find(proc.Marked("KILLED=" + mark))
	if err != nil || len(all) == 0 {
		t.Fatalf("%d processes with our mark, %v", len(all), err)
	}
	agent := 0
	for _, h := range all {
		for pid := h.PID; pid > 1; {
			if line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline"); strings.Contains(
				string(line), "\x00serve\x00--keep-env\x00--daemon=",
			) {
				// the one that has it; above that there may be the one through which it is spoken
				// to
				agent = pid
				break
			}
			s, err := proc.ReadStat(pid)
			if err != nil {
				break
			}
			pid = s.Parent
		}
	}
	proc.Close(all)
	if agent == 0 {
		t.Fatal("no agent is above the command")
	}
	if err := syscall.Kill(agent, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); exitOf(err) != term.ExitLost {
		t.Errorf("exit status %d, want %d", exitOf(err), term.ExitLost)
	}
	nobody(t, "KILLED="+mark)
	if got := m.must("run", "far", "--sync", "--", "cat", "f"); got != mark {
		t.Errorf("the next run has %q, want %q", got, mark)
	}
	m.must("release", "far")
}
