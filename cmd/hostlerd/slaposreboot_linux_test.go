package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/slapos/node/nodetest"
	"github.com/hostler-project/hostler/slapos/proto"
)

// boxed is a machine that can be switched off: processes of a name space of their own, whose first
// one is a shell.
type boxed struct {
	testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// switchOn starts one; number says which start of the machine that is.
func switchOn(t *testing.T, number int) *boxed {
	t.Helper()
	id := filepath.Join(t.TempDir(), "boot_id")
	nodetest.Do(t, os.WriteFile(id, []byte(fmt.Sprintf("00000000-0000-4000-8000-%012d\n", number)), 0o444))
	b := &boxed{TB: t, cmd: exec.Command("/bin/sh")}
	programs := t.TempDir()
	self, err := os.Executable()
	nodetest.Do(t, err)
	nodetest.Do(t, os.Symlink(self, filepath.Join(programs, "hostler")))
	b.cmd.Env = []string{"PATH=" + programs + ":/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"}
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	b.cmd.Stderr = os.Stderr
	b.in, err = b.cmd.StdinPipe()
	nodetest.Do(t, err)
	out, err := b.cmd.StdoutPipe()
	nodetest.Do(t, err)
	if err := b.cmd.Start(); err != nil {
		t.Skipf("%s: no machine can be made here: %v", t.Name(), err)
	}
	b.out = bufio.NewScanner(out)
	t.Cleanup(b.off)
	b.run(
		"set -e; mount --make-rprivate /; mount -t proc proc /proc; mount -t tmpfs tmpfs /run; mount --bind " + id + " /proc/sys/kernel/random/boot_id; set +e",
	)
	return b
}

// off ends all that runs there at once.
func (b *boxed) off() {
	if b.cmd.ProcessState == nil {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
	}
}

// run runs words of the shell, which must succeed.
func (b *boxed) run(script string) string {
	b.Helper()
	_, err := fmt.Fprintf(b.in, "%s\ne=$?; echo; echo END $e\n", script)
	nodetest.Do(b, err)
	var said []string
	for b.out.Scan() {
		if code, ok := strings.CutPrefix(b.out.Text(), "END "); ok {
			if code != "0" {
				b.Fatalf("%s: exit status %s: %q", script, code, said)
			}
			return strings.TrimSpace(strings.Join(said, "\n"))
		}
		said = append(said, b.out.Text())
	}
	b.Fatalf("%s: the machine has ended: %q", script, said)
	return ""
}

// until waits until a command succeeds.
func (b *boxed) until(what string) {
	b.Helper()
	b.run("timeout 100 sh -c 'until " + what + "; do sleep 0.05; done'")
}

// TestSlaposReboot switches a node's machine off, with all that runs there, and on: whoever comes
// first, the daemon, the supervisor or a pass, all that is wanted runs again, and nothing that was
// left lying about, sockets and files with numbers of processes that are others' now, is in the
// way.
func TestSlaposReboot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestSlaposReboot: only root can make a machine of processes")
	}
	r := nodetest.New(t, 1)
	file := func(name string) string { return filepath.Join(r.Work, name) }
	nodetest.Do(t, os.WriteFile(file("slapos.cfg"),
		[]byte(fmt.Sprintf("[slapos]\ncomputer_id = %s\nmaster_url = %s\ninstance_root = %s\nsoftware_root = %s\npidfile = %s\nsoftware_min_free_space = 1M\ninstance_min_free_space = 1M\n",
			nodetest.Computer, r.URL, r.Root, r.Software, file("pid"))), 0o644))
	r.Light(
		"/r",
		"read -r in; in=${in#*'\"v\":\"'}; echo ${in%%'\"'*} >v\nmkdir -p etc/run\nprintf '#!/bin/sh\\necho ran >>jobs\\n' >etc/run/job; chmod 755 etc/run/job\n"+nodetest.Service(
			"srv", "echo ran >>starts; exec sleep 1000",
		),
	)
	ask := func(v string) {
		r.Ask(&proto.Request{Title: "demo", Release: "/r", State: proto.Started, Parameters: proto.Dictionary{"v": v}})
	}
	ask("1")
	ran := func(starts, jobs int) string {
		return fmt.Sprintf(
			`test "$(cat %s 2>/dev/null | wc -l)" = %d -a "$(cat %s 2>/dev/null | wc -l)" = %d`, r.At("p0", "starts"),
			starts, r.At("p0", "jobs"), jobs,
		)
	}
	one := func(b *boxed) {
		t.Helper()
		if n := b.run("ps ax | grep -c '[s]leep 1000'"); n != "1" {
			t.Errorf("%s services run:\n%s", n, b.run("ps axf"))
		}
	}
	cfg := "export SLAPOS_CONFIGURATION=" + file("slapos.cfg")
	begin := func(number int) *boxed {
		t.Helper()
		b := switchOn(t, number)
		b.run(cfg)
		return b
	}

	b := begin(1)
	b.run("hostler node >/dev/null 2>" + file("node.log") + " &")
	b.until(ran(1, 1))
	b.until("test -s " + r.At("p0", ".timestamp"))
	one(b)
	b.off()
	r.There("sv.sock", "var/run/supervisord.pid")
	if text, err := os.ReadFile(file("pid")); err != nil || string(text) == "" {
		t.Errorf("the daemon has left %q, %v", text, err)
	}

	// The supervisor is first. It has a number that the daemon had before.
	b = begin(2)
	b.run("hostler slapos node supervisord --nodaemon >/dev/null 2>&1 &")
	b.until(ran(2, 2))
	b.until("hostler slapos node status | grep -q RUNNING")
	pid := strings.TrimSpace(r.Read("var/run/supervisord.pid"))
	if n, err := strconv.Atoi(pid); err != nil || n > 1000 {
		t.Errorf("the supervisor is %q: the machine is not another one", pid)
	}
	nodetest.Do(t, os.WriteFile(file("pid"), []byte(pid), 0o644))
	b.run("hostler node >/dev/null 2>" + file("node.log") + " &")
	ask("2")
	b.until("test \"$(cat " + r.At("p0", "v") + ")\" = 2")
	b.until(ran(2, 3)) // what has been processed has its jobs done again
	b.until("test -s " + r.At("p0", ".timestamp"))
	one(b)
	b.off()

	// The daemon is, and finds all as it is wanted.
	b = begin(3)
	b.run("hostler node >/dev/null 2>" + file("node.log") + " &")
	b.until(ran(3, 4))
	one(b)
	b.off()

	// A pass of cron's is.
	b = begin(4)
	b.run("hostler slapos node instance --now 2>" + file("node.log"))
	b.until(ran(4, 5))
	one(b)
	b.run("hostler slapos node stop all")
	b.off()
}
