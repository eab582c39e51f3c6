package proc_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/linux/proc"
)

// The program runs itself as a process to look at: it says that it is there, and waits for the end
// of its input.
const waitEnv = "HOSTLER_TEST_WAIT"

func TestMain(m *testing.M) {
	if os.Getenv(waitEnv) != "" {
		fmt.Println("here")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	os.Exit(m.Run())
}

// child is a process of ours.
type child struct {
	*exec.Cmd
	in io.Closer
}

// start starts a program that waits; it is ended with the test.
func start(t *testing.T, program string, env ...string) child {
	t.Helper()
	if program == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		program = self
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(env, waitEnv+"=yes")
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
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	// now it is that program, with its own name
	if _, err := io.ReadFull(out, make([]byte, len("here\n"))); err != nil {
		t.Fatal(err)
	}
	return child{cmd, in}
}

// names are what processes may call themselves to be taken for something else.
var names = []string{
	"", "sh", ")", "(", ") Z 1 1 1", "a b) S 1", "\n", "x\n1 (y) Z 1 1", "\xff)\x00(", strings.Repeat(")", 15),
	"(sd-pam)", "\t) \v",
}

func text(pid int, name string, s proc.Stat) string {
	return fmt.Sprintf("%d (%s) %c %d %d %d 34816 77 4194560 93 0 0 0 0 0 0 0 20 0 1 0 %d 2539520 96 18446744073709551615 0 0\n",
		pid, name, s.State, s.Parent, s.Group, s.Session, s.Start)
}

// TestParseStat writes what the kernel would, with names of all sorts, and reads it again.
func TestParseStat(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	alphabet := []string{")", "(", " ", "\n", "\t", "Z", "1", "-", "\x00", "\xff", "é"}
	for n := range 20_000 {
		name := ""
		if n < len(names) {
			name = names[n]
		} else {
			for range r.IntN(16) {
				name += alphabet[r.IntN(len(alphabet))]
			}
		}
		want := proc.Stat{
			State: "RSDTtZX"[r.IntN(7)], Parent: r.IntN(1 << 22), Group: r.IntN(1<<22) - 1, Session: r.IntN(1 << 22),
			Start: r.Uint64(),
		}
		got, err := proc.ParseStat([]byte(text(r.IntN(1<<22), name, want)))
		if err != nil || got != want {
			t.Fatalf("of the name %q: %+v, %v, and it is %+v", name, got, err, want)
		}
		if ended := want.State == 'Z' || want.State == 'X'; got.Ended() != ended {
			t.Errorf("%c: ended: %v", want.State, got.Ended())
		}
	}
	whole := text(5, "sh", proc.Stat{State: 'S', Parent: 1})
	for _, bad := range []string{"", ")", "5 (sh", "5 (sh) S 1 2 3", whole[:40], strings.Replace(whole, "S", "SS", 1),
		strings.Replace(whole, " 1 ", " x ", 1),
		strings.Replace(whole, " 0 2539520", " -1 2539520", 1)} {
		if s, err := proc.ParseStat([]byte(bad)); err == nil {
			t.Errorf("%q is read as %+v", bad, s)
		}
	}
}

// FuzzParseStat: whatever is there to be read, there is no panic, and what follows the name does
// not depend on the name.
func FuzzParseStat(f *testing.F) {
	for _, n := range names {
		f.Add(n, " S 1 2 3 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 99\n")
		f.Add(n, " S 1")
	}
	f.Fuzz(func(t *testing.T, name, rest string) {
		_, _ = proc.ParseStat([]byte(name + rest))
		if strings.Contains(rest, ")") {
			return
		}
		a, aerr := proc.ParseStat([]byte("1 (" + name + ")" + rest))
		b, berr := proc.ParseStat([]byte("1 (sh)" + rest))
		if a != b || (aerr == nil) != (berr == nil) {
			t.Errorf("%q of the name %q: %+v, %v; of sh: %+v, %v", rest, name, a, aerr, b, berr)
		}
	})
}

// TestLook asks the kernel, of processes with names of all sorts.
func TestLook(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	before, err := proc.ReadStat(os.Getpid())
	if err != nil || before.Parent != os.Getppid() || before.Ended() {
		t.Fatalf("this process: %+v, %v", before, err)
	}
	for _, name := range []string{"sh", ") Z 1 1 1 1", "x\n1 (y) Z 1 1", "((((", "))))"} {
		program := filepath.Join(t.TempDir(), name)
		if err := os.Link(self, program); err != nil {
			b, rerr := os.ReadFile(self)
			if err := errors.Join(rerr, os.WriteFile(program, b, 0o700)); err != nil {
				t.Fatal(err)
			}
		}
		c := start(t, program)
		said, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Process.Pid))
		if err != nil || !strings.Contains(string(said), "("+name+") ") {
			t.Fatalf("it is not called %q: %q %v", name, said, err)
		}
		s, err := proc.ReadStat(c.Process.Pid)
		group, _ := unix.Getpgid(c.Process.Pid)
		session, _ := unix.Getsid(c.Process.Pid)
		if err != nil || s.Parent != os.Getpid() || s.Group != group || s.Session != session || s.Start < before.Start || s.Ended() {
			t.Errorf("%q: %+v, %v; group %d, session %d, ours %+v", name, s, err, group, session, before)
		}
		all, err := proc.All()
		if got, ok := all[c.Process.Pid]; err != nil || !ok || got.Parent != s.Parent || got.Start != s.Start {
			t.Errorf("%q among all: %+v, %v", name, got, err)
		}
		_ = c.Process.Kill()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			if s, err := proc.ReadStat(c.Process.Pid); err != nil || time.Now().After(end) {
				t.Fatalf("a zombie: %+v, %v", s, err)
			} else if s.Ended() {
				break
			}
		}
		_ = c.Wait()
		if s, err := proc.ReadStat(c.Process.Pid); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("one that is gone: %+v, %v", s, err)
		}
	}
}

// TestAncestors has a child whose parent we are, and us.
func TestAncestors(t *testing.T) {
	all := proc.Ancestors()
	if !all[os.Getpid()] || os.Getppid() > 1 && !all[os.Getppid()] || all[1] && os.Getpid() != 1 {
		t.Errorf("%v are not %d and those above", all, os.Getpid())
	}
	if c := start(t, ""); all[c.Process.Pid] || proc.Ancestors()[c.Process.Pid] {
		t.Error("a child is an ancestor")
	}
}
