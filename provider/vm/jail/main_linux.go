package jail

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Trouble begins the message of a jail that cannot be made.
const Trouble = "jail: "

// Main reads the plan and becomes the program. It returns only when that fails, with the exit
// status.
func Main([]string) int {
	runtime.LockOSThread() // rights are given up by this thread, which is the one that executes
	err := become()
	fmt.Fprintln(os.Stderr, Trouble+err.Error())
	return 1
}

// become never returns nil: it executes the program, or says which step failed.
func become() error {
	var p Plan
	in := os.NewFile(planFD, "plan")
	if err := json.NewDecoder(in).Decode(&p); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	_ = in.Close()
	if p.Scratch != "" {
		if err := build(&p); err != nil {
			return err
		}
	}
	for _, step := range []struct {
		what string
		do   func(*Plan) error
	}{
		{"name the host", name}, {"set limits", limit}, {"become another user", change}, {"give up capabilities", forgo},
		{"close descriptors", shut},
	} {
		if err := step.do(&p); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return fmt.Errorf("execute %s: %w", p.Program, syscall.Exec(p.Program, p.Args, p.Env))
}

func name(p *Plan) error {
	if p.Hostname == "" {
		return nil
	}
	return unix.Sethostname([]byte(p.Hostname))
}

// limit sets the limits of the process. It writes no core: a core has the guest's memory in it, and
// the host decides where it goes.
func limit(p *Plan) error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return err
	}
	if p.OpenFiles == 0 {
		return nil
	}
	var is unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &is); err != nil {
		return err
	}
	most := min(is.Max, p.OpenFiles)
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: most, Max: most})
}

// change makes this thread another user.
func change(p *Plan) error {
	if p.User == 0 {
		return nil
	}
	id := uintptr(p.User)
	for _, call := range [][4]uintptr{ // for this thread alone; package syscall's are for all
		{unix.SYS_SETGROUPS}, {unix.SYS_SETRESGID, id, id, id},
	} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return errno
		}
	}
	if err := bound(); err != nil { // while it still has the right to
		return err
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, id, id, id); errno != 0 {
		return errno
	}
	return nil
}

// bound empties the bounding set: no program gets capabilities by being executed.
func bound() error {
	for c := uintptr(0); c < 64; c++ {
		switch err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err {
		case nil:
		case unix.EINVAL: // the kernel has no capability of this number
			return nil
		case unix.EPERM: // an ordinary user has none to drop
			return nil
		default:
			return err
		}
	}
	return nil
}

// forgo gives up all capabilities, and the right to get any again.
func forgo(*Plan) error {
	if err := bound(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	var none [2]unix.CapUserData
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// shut closes the descriptors that are not for the program.
func shut(p *Plan) error {
	return unix.CloseRange(uint(FirstFD+p.Files), ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
}
