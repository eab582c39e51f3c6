package main

import (
	"bufio"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/cli/slaposcmd/nodecmd"
	"github.com/hostler-project/hostler/slapos/node/nodetest"
)

// slaposMachine is a computer that a node of SlapOS has all to itself: its processes, users,
// interfaces and disk are nobody else's, where we are root. Its own disk is /mnt, of which it has
// the rest of this machine's. For who is not root it is this machine, and a directory on it.
type slaposMachine struct {
	t    *testing.T
	pid  int      // of its first process; 0: it is this machine
	uid  int      // who gives the commands
	env  []string // of the commands
	dir  string   // the disk, as the machine has it
	disk string   // as we have it
}

const slaposMachineBoots = `set -e
exec 2>&1
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /mnt
cp -a /etc /mnt
mount --bind /mnt/etc /etc
umount -l /mnt
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir -m 1777 /mnt/tmp
ip link set lo up
ip link add lab0 type veth peer name lab9
echo 0 >/proc/sys/net/ipv6/conf/lab0/accept_dad
ip link set lab0 up
ip link set lab9 up
ip address add 2001:db8:77::1/64 dev lab0
echo up
sleep infinity & wait`

// newSlaposMachine makes one until the test ends. uid: who gives the commands there, where we are
// root.
func newSlaposMachine(t *testing.T, uid int) *slaposMachine {
	t.Helper()
	m := &slaposMachine{t: t, uid: os.Getuid()}
	if os.Getuid() == 0 {
		m.uid, m.dir = uid, "/mnt"
		cmd := exec.Command("sh", "-c", slaposMachineBoots)
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL,
		}
		out, err := cmd.StdoutPipe()
		nodetest.Do(t, err)
		started, ended := make(chan error), make(chan struct{})
		go func() {
			defer close(ended)
			runtime.LockOSThread() // Pdeathsig is of the thread
			defer runtime.UnlockOSThread()
			err := cmd.Start()
			started <- err
			if err == nil {
				_, _ = cmd.Process.Wait()
			}
		}()
		nodetest.Do(t, <-started)
		t.Cleanup(func() {
			_ = cmd.Process.Kill() // and all that runs there with it
			<-ended
			_ = out.Close()
		})
		said, last := bufio.NewScanner(out), ""
		for last != "up" && said.Scan() {
			if last = said.Text(); last != "up" {
				t.Log(last)
			}
		}
		if last != "up" {
			t.Fatal("the machine does not boot")
		}
		m.pid = cmd.Process.Pid
		m.disk = "/proc/" + strconv.Itoa(m.pid) + "/root/mnt"
		nodetest.Do(t, os.Chown(m.disk, m.uid, m.uid))
	} else {
		dir, err := os.MkdirTemp("", "hostler-life-")
		nodetest.Do(t, err)
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		nodetest.Do(t, os.Mkdir(dir+"/tmp", 0o700))
		m.dir, m.disk = dir, dir
	}
	m.env = []string{
		"PATH=" + plainPath(t), "HOME=" + m.dir, "TMPDIR=" + m.dir + "/tmp",
		"SLAPOS_CONFIGURATION=" + m.dir + "/slapos.cfg", "SLAPOS_CLIENT_CONFIGURATION=" + m.dir + "/slapos.cfg",
	}
	return m
}

// listen listens on the machine's own network.
func (m *slaposMachine) listen() net.Listener {
	m.t.Helper()
	if m.pid == 0 {
		return nil
	}
	type result struct {
		at  net.Listener
		err error
	}
	done := make(chan result)
	go func() {
		// for good: the thread ends with us, as nobody else is to have its network
		runtime.LockOSThread()
		f, err := os.Open("/proc/" + strconv.Itoa(m.pid) + "/ns/net")
		if err == nil {
			defer f.Close()
			err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
		}
		var at net.Listener
		if err == nil {
			at, err = net.Listen("tcp", "127.0.0.1:0")
		}
		done <- result{at, err}
	}()
	r := <-done
	nodetest.Do(m.t, r.err)
	return r.at
}

// command is one that is given on the machine.
func (m *slaposMachine) command(argv ...string) *exec.Cmd {
	var words []string
	if m.pid != 0 {
		words = []string{"nsenter", "--target", strconv.Itoa(m.pid), "--mount", "--net", "--pid", "--"}
	}
	if m.uid != os.Getuid() {
		id := strconv.Itoa(m.uid)
		words = append(words, "setpriv", "--reuid", id, "--regid", id, "--clear-groups")
	}
	words = append(words, "sh", "-c", `cd "$0" && exec "$@"`, m.dir)
	words = append(words, argv...)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env = "/", m.env
	return cmd
}

// run gives a command, which ends with a status, and returns what it printed and what it said.
func (m *slaposMachine) run(status int, argv ...string) string {
	m.t.Helper()
	out, err := m.command(argv...).CombinedOutput()
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else {
		nodetest.Do(m.t, err)
	}
	if code != status {
		m.t.Fatalf("%s: status %d, want %d\n%s", strings.Join(argv, " "), code, status, out)
	}
	return string(out)
}

// slapos gives a command of SlapOS.
func (m *slaposMachine) slapos(status int, argv ...string) string {
	m.t.Helper()
	return m.run(status, append([]string{"hostler", "slapos"}, argv...)...)
}

// at is a path of the machine's disk, as we have it.
func (m *slaposMachine) at(name ...string) string {
	return filepath.Join(append([]string{m.disk}, name...)...)
}

// write writes a file of who gives the commands.
func (m *slaposMachine) write(name, text string, mode os.FileMode) {
	m.t.Helper()
	nodetest.Do(
		m.t, os.MkdirAll(filepath.Dir(m.at(name)), 0o755), os.WriteFile(m.at(name), []byte(text), mode),
		os.Chmod(m.at(name), mode), os.Lchown(m.at(name), m.uid, m.uid),
	)
}

// read is a file's text; "" where there is none.
func (m *slaposMachine) read(name ...string) string {
	text, _ := os.ReadFile(m.at(name...))
	return string(text)
}

// owner is the user whose a file is.
func (m *slaposMachine) owner(name ...string) int {
	m.t.Helper()
	info, err := os.Lstat(m.at(name...))
	nodetest.Do(m.t, err)
	return int(info.Sys().(*syscall.Stat_t).Uid)
}

// files are all below a directory, directories apart, by their paths there.
func (m *slaposMachine) files(dir string) (names []string) {
	m.t.Helper()
	nodetest.Do(m.t, filepath.WalkDir(m.at(dir), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			path, err = filepath.Rel(m.at(dir), path)
			names = append(names, path)
		}
		return err
	}))
	return names
}

// programs are what runs on the node, by GROUP:NAME, with how it is: RUNNING 12.
func (m *slaposMachine) programs() map[string]string {
	m.t.Helper()
	out, err := m.command("hostler", "slapos", "node", "status").Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != nodecmd.ExitNotRunning) {
		m.t.Fatal(err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		all[words[0]] = words[1]
		if len(words) > 3 && words[2] == "pid" {
			all[words[0]] += " " + strings.TrimSuffix(words[3], ",")
		}
	}
	return all
}

// processes are those that have the disk in their command line, and all of other users than root
// where the machine is not this one: USER ARGUMENTS.
func (m *slaposMachine) processes() (found []string) {
	m.t.Helper()
	for line := range strings.Lines(m.run(0, "ps", "-e", "-o", "stat=,uid=,args=")) {
		words := strings.Fields(line)
		// the machine's first
		if len(words) < 3 || strings.HasPrefix(words[0], "Z") || strings.Contains(line, "make-rprivate") {
			continue
		}
		if uid, err := strconv.Atoi(words[1]); err == nil &&
			(m.pid != 0 && uid != 0 || strings.Contains(line, m.dir+"/")) && words[2] != "ps" {
			found = append(found, strings.Join(words[1:], " "))
		}
	}
	return found
}

// until waits until something is so.
func (m *slaposMachine) until(what string, so func() bool, more ...func() string) {
	m.t.Helper()
	nodetest.Until(m.t, what, so, more...)
}
