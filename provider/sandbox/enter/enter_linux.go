package enter

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/sandbox/confine"
)

// stepError is an error and the step in which it came.
type stepError struct {
	step string
	err  error
}

func (e *stepError) Error() string { return e.step + ": " + e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// at adds a step to an error, unless the error has one: the innermost is the most exact. A nil
// error stays nil.
func at(err error, step string, args ...any) error {
	if err == nil {
		return nil
	}
	var e *stepError
	if errors.As(err, &e) {
		return err
	}
	return &stepError{fmt.Sprintf(step, args...), err}
}

// first makes the calling process the first of a sandbox, by the plan that comes over ControlFD. It
// sends the answer to the maker, an error too. When it returns nil only serving on the listening
// socket is left. early: prepare is done.
func first(early bool) (*Plan, []int, error) {
	// it was started by a descriptor's number
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&[]byte("hostler-agent\x00")[0])), 0, 0, 0)
	plan, fds, err := receivePlan()
	if err != nil {
		return nil, nil, err
	}
	plan.early = early
	if err = build(plan, fds); err == nil {
		err = settle(plan)
	}
	a := Answer{Lacks: plan.lacks}
	if err != nil {
		a.Error = err.Error()
		var e *stepError
		if errors.As(err, &e) {
			a.Step, a.Error = e.step, e.err.Error()
		}
		var n syscall.Errno
		if errors.As(err, &n) {
			a.Errno = int(n)
		}
	}
	_, werr := unix.Write(controlFD, a.bytes())
	_ = unix.Close(controlFD)
	return plan, fds, errors.Join(err, werr)
}

// space is the buffer of the plan: static, so only the pages that the plan fills are ever touched.
var space [MaxPlan]byte

// receivePlan reads the plan, and the descriptors that come with it. If the socket ends before, the
// maker has ended.
func receivePlan() (*Plan, []int, error) {
	oob := make([]byte, unix.CmsgSpace(4*253))
	var n, on int
	var err error
	for {
		n, on, _, _, err = unix.Recvmsg(controlFD, space[:], oob, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil || n == 0 {
		return nil, nil, errors.Join(errors.New("no plan came"), err)
	}
	var fds []int
	messages, err := unix.ParseSocketControlMessage(oob[:on])
	if err != nil {
		return nil, nil, err
	}
	for _, m := range messages {
		some, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, nil, err
		}
		fds = append(fds, some...)
	}
	plan, err := readPlan(space[:n])
	if err == nil && len(fds) == 0 {
		err = errors.New("no socket came with the plan")
	}
	return plan, fds, err
}

// settle does the rest when the root is complete: name, network, limits, privileges.
func settle(p *Plan) error {
	if err := unix.Sethostname([]byte(p.Hostname)); err != nil {
		return at(err, "set the host name")
	}
	if p.has("net") && !p.early {
		if err := loopback(); err != nil {
			return at(err, "bring up the loopback network")
		}
	}
	if p.has("cgroup") && !p.early {
		if err := groupSpace(); err != nil {
			return at(err, "make a name space of control groups")
		}
	}
	unix.Umask(0o022)
	if p.NProc > 0 {
		if err := limit(unix.RLIMIT_NPROC, p.NProc); err != nil {
			return at(err, "limit processes")
		}
	}
	o := confine.Options{Nesting: p.Nesting, Clone3: p.clone3, AIO: p.AIO}
	for _, defence := range []string{confine.Dumpable, confine.NoNewPrivs, confine.Seccomp, confine.Capabilities} {
		if !p.has(defence) {
			o.Without = append(o.Without, defence)
		}
	}
	return at(confine.Self(o), "give up what is not needed")
}

// groupSpace makes a name space of control groups with our group as its root, on all threads, as
// each has its own.
func groupSpace() error {
	// a kernel without
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP, 0, 0); errno != 0 && errno != unix.EINVAL {
		return errno
	}
	return nil
}

// prepare does what is the same for all plans, and reports whether it could.
func prepare() bool { return loopback() == nil && groupSpace() == nil }

// limit lowers a limit; it never raises one.
func limit(resource int, most int64) error {
	var r unix.Rlimit
	n := uint64(most)
	if err := unix.Getrlimit(resource, &r); err != nil {
		return err
	}
	r.Max, r.Cur = min(r.Max, n), min(r.Max, n)
	return unix.Setrlimit(resource, &r)
}

// loopback brings up lo.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
}

// has reports whether a defence is switched on.
func (p *Plan) has(defence string) bool {
	for _, w := range p.Without {
		if w == defence {
			return false
		}
	}
	return true
}
