package sandbox

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/cgroup"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/provider/sandbox/enter"
	"github.com/hostler-project/hostler/provider/sandbox/uids"
)

// first is a process that is to be the first of a sandbox. It waits for its plan, and ends when no
// process is left that could send one.
type first struct {
	life
	limits
	control *os.File // the socket that it waits on
	// a handle until it has answered: its number may become another's
	handle *proc.Handle
	users  int // the first of its user ids, for root
	group  int // descriptor of its control group; 0: none
}

// close closes the descriptors of the process.
func (f *first) close() {
	if f.control != nil {
		_ = f.control.Close()
	}
	if f.group > 0 {
		_ = unix.Close(f.group)
	}
	if f.handle != nil {
		_ = f.handle.Close()
	}
	f.control, f.group, f.handle = nil, 0, nil
}

// space opens one of its name spaces.
func (f *first) space(kind string) (*os.File, error) {
	ns, err := os.Open("/proc/" + strconv.Itoa(f.PID) + "/ns/" + kind)
	if f.handle.Ended() { // its number may be another's by now
		if err == nil {
			_ = ns.Close()
		}
		return nil, errEndedEarly
	}
	return ns, err
}

// errEndedEarly means that the first process was killed before it became a sandbox.
var errEndedEarly = errors.New("its first process ended before it was ready")

// starter starts first processes, and ends those that become no sandbox.
type starter struct {
	o      *Options
	root   bool // we are root
	groups *groups
}

// abandon ends a first process, and its group.
func (s *starter) abandon(ctx context.Context, f first) error {
	return errors.Join(f.kill(ctx), s.groups.end(ctx, f.Group))
}

// start starts a first process in its name spaces and a control group of that name. It is to be
// abandoned even after an error.
func (s *starter) start(ctx context.Context, name string, own instanceRecord, words ...string) (m first, err error) {
	m.Group = name
	control, theirs, err := socketpair()
	if err != nil {
		return m, err
	}
	defer theirs.Close()
	fail := func(err error) (first, error) {
		control.Close()
		m.close()
		return m, err
	}
	program, err := s.o.Agent(runtime.GOARCH)
	if err != nil {
		return fail(err)
	}
	self, err := os.Open(program.Path)
	if err != nil {
		return fail(err)
	}
	defer self.Close()
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return fail(err)
	}
	defer null.Close()
	attr := &os.ProcAttr{
		Env:   []string{"GOMAXPROCS=1"},
		Files: []*os.File{null, null, null, theirs, self},
		Sys: &syscall.SysProcAttr{
			// With a user name space Go copies our page tables for the fork, as it may map users
			// meanwhile. That takes longer than all the rest. The users are mapped later, so the
			// child shares our memory until exec, as usual.
			Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
				unix.CLONE_NEWNET | unix.CLONE_VFORK | unix.CLONE_VM,
			Setsid: true,
			// It begins as nobody, becomes root as soon as its users are mapped, and keeps its
			// capabilities over exec until then.
			AmbientCaps: needed[:],
		},
	}
	for name, flag := range map[string]uintptr{"pid": unix.CLONE_NEWPID, "ipc": unix.CLONE_NEWIPC, "net": unix.CLONE_NEWNET} {
		if s.o.without(name) {
			attr.Sys.Cloneflags &^= flag
		}
	}
	m.users = os.Geteuid()
	var ids uids.Range
	if s.root {
		h := fnv.New32a()
		h.Write([]byte(s.o.Installation + name))
		ids, err = uids.Take(int(h.Sum32() % uids.Slots))
		if err != nil {
			return fail(err)
		}
		defer ids.File.Close()
		m.users, attr.Files = ids.First, append(attr.Files, ids.File)
		if s.o.without("users") {
			m.users = 0
		}
	}
	var group *cgroup.Group
	if group, m.limits, err = s.groups.make(ctx, name, own); err != nil {
		return fail(err)
	}
	defer group.Close()
	if fd := group.FD(); fd >= 0 {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, fd
		if m.group, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
			return fail(err)
		}
	}
	if s.root {
		if err := group.Delegate(m.users, m.users); err != nil {
			return fail(err)
		}
	}
	// By its descriptor, as the sandbox's user may not reach the path.
	var process *os.Process
	err = group.StartLast(func() (err error) {
		if s.root {
			if err := actAs(m.users); err != nil {
				return fmt.Errorf("act as the sandbox's root: %w", err)
			}
		}
		process, err = os.StartProcess(
			"/proc/self/fd/"+strconv.Itoa(enter.ProgramFD), program.Command(append([]string{enter.Word}, words...)...),
			attr,
		)
		return err
	})
	if err != nil {
		return fail(startError(err))
	}
	// before anything reaps it, so that the number is still its own
	m.handle, err = proc.Open(process.Pid)
	bear(process.Pid)
	if err == nil {
		m.Process, err = proc.Identify(process.Pid)
	}
	// it is known by its record, and reaped by its parent when it ends
	_ = process.Release()
	if err == nil && s.root {
		err = ids.Keep(m.Process)
	}
	if err == nil {
		err = s.mapUsers(m)
	}
	if err != nil {
		return fail(fmt.Errorf("its first process: %w", err))
	}
	m.control = control
	return m, nil
}

// needed are the capabilities that a first process needs to build a sandbox, and those it keeps.
var needed = [...]uintptr{
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_KILL,
	unix.CAP_SETGID, unix.CAP_SETUID,
	unix.CAP_SETPCAP, unix.CAP_NET_BIND_SERVICE, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_IPC_OWNER,
	unix.CAP_SYS_CHROOT, unix.CAP_SYS_ADMIN,
	unix.CAP_SYS_NICE, unix.CAP_SYS_RESOURCE, unix.CAP_MKNOD, unix.CAP_AUDIT_WRITE, unix.CAP_SETFCAP,
}

// actAs makes the calling thread a user of the host that is nobody, with our capabilities and no
// groups. The thread is good for nothing else then. So the process that it starts is that user at
// once, and need not change, which takes its time in a program of many threads.
func actAs(id int) error {
	var caps [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	// The kernel takes this from the whole process, so it is given back. The value is that before
	// the first time: two threads at it would see each other's.
	defer func(was int) { _ = unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(was), 0, 0, 0) }(dumpable())
	err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0)
	if err == nil {
		err = unix.Capget(&header, &caps[0])
	}
	if err != nil {
		return err
	}
	for _, call := range [][4]uintptr{ // for this thread alone; package syscall's are for all
		{unix.SYS_SETGROUPS}, {unix.SYS_SETRESGID, uintptr(id), uintptr(id), uintptr(id)},
		{unix.SYS_SETRESUID, uintptr(id), uintptr(id), uintptr(id)},
	} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return errno
		}
	}
	caps[0].Effective, caps[1].Effective = caps[0].Permitted, caps[1].Permitted
	return unix.Capset(&header, &caps[0])
}

// dumpable reports whether other processes of this user may look into this one.
var dumpable = sync.OnceValue(func() int {
	n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil || n != 1 {
		return 0
	}
	return 1
})

// mapUsers maps the sandbox's user ids to the host's. The process gets its plan after that.
func (s *starter) mapUsers(m first) error {
	ids, proc := "0 "+strconv.Itoa(m.users)+" "+strconv.Itoa(uids.Count), "/proc/"+strconv.Itoa(m.PID)
	if s.root {
		return errors.Join(writeProc(proc+"/uid_map", ids), writeProc(proc+"/gid_map", ids))
	}
	return errors.Join(
		writeProc(proc+"/uid_map", "0 "+strconv.Itoa(os.Geteuid())+" 1"),
		// without this the user could drop a group that denies something
		writeProc(proc+"/setgroups", "deny"),
		writeProc(proc+"/gid_map", "0 "+strconv.Itoa(os.Getegid())+" 1"))
}

// writeProc writes a file of /proc in one write, as the kernel demands for maps of ids.
func writeProc(name, text string) error {
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(text)); err != nil {
		return &os.PathError{Op: "write", Path: name, Err: err}
	}
	return nil
}

// socketpair makes the socket over which a first process gets its plan.
func socketpair() (ours, theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(pair[0]), "control"), os.NewFile(uintptr(pair[1]), "control"), nil
}

// startError explains what the kernel refuses.
func startError(err error) error {
	hint := advice
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		hint = "this kernel, or its security modules, does not let this user make user name spaces; run hostler doctor"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		return &compute.Error{Kind: compute.ErrNoCapacity, Err: fmt.Errorf("start its first process: %w", err),
			Hint: "the kernel's limit of name spaces is reached: see /proc/sys/user/max_*_namespaces"}
	}
	return &compute.Error{Kind: compute.ErrUnavailable, Err: fmt.Errorf("start its first process: %w", err), Hint: hint}
}
