//go:build linux

package vm_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/vm"
)

// TestCopies makes two copies of one saved machine: they are paused until they are used, and
// nothing that makes one a computer of its own is the same on both.
func TestCopies(t *testing.T) {
	p := open(t, warm(t))
	type self struct{ id, hostname, machine, key, fingerprint, random, clock string }
	look := func(id compute.ID) self {
		c, err := p.Connect(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := p.Check(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if s := state(t, p, id); s != "paused" {
			t.Errorf("%s is %s although nobody used it", id, s)
		}
		s := self{
			id: string(id), hostname: sh(t, c, "hostname; cat /etc/hostname"), machine: sh(t, c, "cat /etc/machine-id"),
			key: sh(t, c, "cat /etc/ssh/*.pub"),
		}
		if s := state(t, p, id); s != "running" {
			t.Errorf("%s is %s although it is used", id, s)
		}
		// What sshd itself says, which it read anew.
		for range 50 {
			s.fingerprint = sh(t, c, "ssh-keyscan -t ed25519 127.0.0.1 2>/dev/null | cut -d' ' -f2,3; true")
			if s.fingerprint != "" {
				break
			}
		}
		s.random = sh(t, c, "head -c 16 /dev/urandom | od -An -tx1; cat /proc/sys/kernel/random/uuid")
		s.clock = sh(t, c, "date +%s")
		return s
	}
	create(t, p, "suite-1")
	create(t, p, "suite-2")
	rehearsed(t, p, "suite-1")
	rehearsed(t, p, "suite-2")
	pid, _ := p.PID("suite-2")
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err != nil || !strings.Contains(string(b), "Seccomp:\t2\n") {
		t.Errorf("qemu has not given up its rights: %v", err)
	}
	// its sockets are in it
	if fi, err := os.Stat(p.Home("suite-2")); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("others may enter the directory of an instance: %v, %v", fi.Mode(), err)
	}
	before := processorTime(t, pid)
	time.Sleep(1500 * time.Millisecond) // what an idle machine uses is measured over this time
	if n := processorTime(t, pid) - before; n > 300*time.Millisecond {
		t.Errorf("a paused machine used %v of 1.5 s", n)
	}
	a, b := look("suite-1"), look("suite-2")
	for _, x := range []struct{ what, a, b string }{
		{"machine-id", a.machine, b.machine}, {"host key", a.key, b.key}, {"sshd's key", a.fingerprint, b.fingerprint},
		{"random numbers", a.random, b.random}, {"hostname", a.hostname, b.hostname},
	} {
		if x.a == x.b || x.a == "" {
			t.Errorf("%s of both copies: %q", x.what, x.a)
		}
	}
	for _, s := range []self{a, b} {
		if s.hostname != s.id+"\n"+s.id || len(s.machine) != 32 || !strings.HasPrefix(s.key, s.fingerprint) {
			t.Errorf(
				"s = %+v"+
					"; want s.hostname == s.id+\"\\n\"+s.id and len(s.machine) == 32 and strings.HasPrefix(s.key, "+
					"s.fingerprint)",
				s,
			)
		}
		now, err := time.Parse(time.DateOnly, "1970-01-01")
		if err != nil {
			t.Fatal(err)
		}
		d, _ := time.ParseDuration(s.clock + "s")
		if off := time.Since(now.Add(d)).Abs(); off > time.Minute {
			t.Errorf("%s: the clock is off by %v", s.id, off)
		}
	}
}

// processorTime is the processor time that a process used.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	d, err := spent(pid)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestManyUsers lets more processes' connections be open than there are ports, and each does its
// work.
func TestManyUsers(t *testing.T) {
	o := warm(t)
	p := open(t, o)
	create(t, p, "suite-1")
	var wg sync.WaitGroup
	for n := range 12 { // more than there are ports
		wg.Go(func() {
			q := p
			if n%2 == 0 {
				q, _ = vm.Open(context.Background(), nil, o)
			}
			for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
				c, err := q.Connect(t.Context(), "suite-1")
				if err == nil {
					var out bytes.Buffer
					_, err = c.Run(
						t.Context(),
						&compute.Command{Args: []string{"sh", "-c", "sleep 0.2; cat"}, Stdin: strings.NewReader("x"), Stdout: &out},
					)
					c.Close()
					if err == nil && out.String() == "x" {
						return
					}
				}
				if time.Now().After(end) {
					t.Errorf("user %d: %v", n, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestBulk sends 16 MiB in each direction and compares.
func TestBulk(t *testing.T) {
	p := open(t, warm(t))
	create(t, p, "suite-1")
	c := connect(t, p, "suite-1")
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	var out bytes.Buffer
	if _, err := c.Run(
		t.Context(), &compute.Command{Args: []string{"cat"}, Stdin: bytes.NewReader(data), Stdout: &out},
	); err != nil || !bytes.Equal(out.Bytes(), data) {
		t.Errorf("%d bytes came back of %d, %v", out.Len(), len(data), err)
	}
}

// TestHungUp hangs up in the middle of output, again and again: whoever comes next gets nothing of
// it.
func TestHungUp(t *testing.T) {
	p := open(t, warm(t))
	create(t, p, "suite-1")
	for range 20 {
		c, err := p.Connect(t.Context(), "suite-1")
		if err != nil {
			t.Fatal(err)
		}
		r, w := io.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = c.Run(t.Context(), &compute.Command{Args: []string{"cat", "/dev/zero"}, Stdout: w})
		}()
		if _, err := io.ReadFull(r, make([]byte, 100<<10)); err != nil {
			t.Fatal(err)
		}
		r.Close()
		c.Close()
		<-ended
	}
	c := connect(t, p, "suite-1")
	if got := sh(t, c, "echo good"); got != "good" {
		t.Errorf("got %q", got)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		n := sh(t, c, "ps ax | grep -c '[c]at /dev/zero' || true")
		if n == "0" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%s commands of those who hung up live", n)
		}
	}
}

// TestSSH boots a machine that is reached by ssh only, with a key of its own and a host key that is
// checked.
func TestSSH(t *testing.T) {
	o := lab(t)
	o.Access, o.Ports, o.Append = "ssh", []string{"7"}, o.Append+" sysctl.kernel.randomize_va_space=2"
	o.Dir = t.TempDir() + "/state"
	p := open(t, o)
	create(t, p, "suite-1")
	c := connect(t, p, "suite-1")
	if got := sh(t, c, "hostname; id -un; cat /proc/sys/kernel/randomize_va_space"); got != "suite-1\nroot\n2" {
		t.Errorf("it is %q", got)
	}
	c.Close()
	in, err := p.List(t.Context())
	if err != nil || len(in) != 1 || !strings.Contains(in[0].Facts["ports"], ":7/tcp") {
		t.Errorf("List: %+v, %v", in, err)
	}
	// Another host key than the one that it was given: nobody is let in.
	known := p.Home("suite-1") + "/known_hosts"
	b, err := os.ReadFile(known)
	if err != nil {
		t.Fatal(err)
	}
	where, _, _ := strings.Cut(string(b), " ")
	other := t.TempDir() + "/other"
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other).CombinedOutput(); err != nil {
		t.Skipf("ssh: %s", out)
	}
	pub, _ := os.ReadFile(other + ".pub")
	if err := os.WriteFile(known, append([]byte(where+" "), pub...), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := p.Connect(t.Context(), "suite-1"); err == nil {
		c.Close()
		t.Error("a machine with another host key is trusted")
	}
}

// TestSystemd saves a machine with systemd: not before all of its services are started.
func TestSystemd(t *testing.T) {
	o := lab(t)
	kv := computetest.Lab{Set: "vm", Net: 71}.Run(t, "vm-image", "make", "systemd")
	o.Image, o.Kernel, o.Initrd, o.Append, o.Ready = kv["disk"], kv["kernel"], kv["initrd"], kv["append"], ""
	o.Warm, o.Dir = true, filepath.Join(t.TempDir(), "state")
	p := open(t, o)
	create(t, p, "suite-1")
	c := connect(t, p, "suite-1")
	if got := sh(
		t, c, "systemctl is-system-running; systemctl list-jobs --no-legend | wc -l; hostname",
	); got != "running\n0\nsuite-1" && got != "degraded\n0\nsuite-1" {
		t.Errorf("right after it was made it says %q", got)
	}
	c.Close()
	if _, err := p.Clean(t.Context(), "suite-1"); err != nil {
		t.Fatal(err)
	}
	rehearsed(t, p, "suite-1")
	if got := sh(t, connect(t, p, "suite-1"), "hostname; cat /etc/hostname"); got != "suite-1\nsuite-1" {
		t.Errorf("cleaned it is %q", got)
	}
}
