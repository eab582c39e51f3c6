package apiprocess

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/sandbox/confine"
)

// maxThreads is how many threads it may have where they are counted alone.
const maxThreads = 512

// maxSharedThreads is how many its user may have more than now, where all of that user's are
// counted.
const maxSharedThreads = 4096

// maxMemory is how much it may map beside what it has when it is confined, and what each
// connection of a stranger has of that in addition.
const (
	maxMemory  = 2 << 30
	connMemory = 64 << 10
)

// ownUserNamespace has a command run in a user namespace of its own, where its threads are counted
// alone.
func ownUserNamespace(cmd *exec.Cmd) {
	one := func(id int) []syscall.SysProcIDMap {
		return []syscall.SysProcIDMap{{ContainerID: id, HostID: id, Size: 1}}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, UidMappings: one(os.Geteuid()), GidMappings: one(os.Getegid()),
	}
}

// sharedThreads is how many threads our user may have, as the process shares it: at most half of
// those that are left are for the process.
func sharedThreads() int {
	var most unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &most); err != nil {
		return 0
	}
	now := 0
	tasks, _ := filepath.Glob("/proc/[0-9]*/task/*") // of those that end meanwhile there are none
	for _, task := range tasks {
		var st unix.Stat_t
		if unix.Stat(task, &st) == nil && int(st.Uid) == os.Geteuid() {
			now++
		}
	}
	left := most.Cur - min(most.Cur, uint64(now))
	return now + int(min(left/2, maxSharedThreads))
}

// mappedMemory is how much memory this process has mapped.
func mappedMemory() (uint64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	pages, _, _ := strings.Cut(string(text), " ")
	n, err := strconv.ParseUint(pages, 10, 64)
	return n * uint64(os.Getpagesize()), err
}

// confineSelf gives up all that serving does not need, and returns what this machine does not
// have for that.
func confineSelf(s setup) ([]string, error) {
	now, err := mappedMemory()
	if err != nil {
		return nil, err
	}
	more := uint64(maxMemory + s.maxConns()*connMemory)
	debug.SetMemoryLimit(min(debug.SetMemoryLimit(-1), int64(more/4*3)))
	limits := map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_MEMLOCK: 0, unix.RLIMIT_AS: now + more}
	if s.Threads != 0 {
		limits[unix.RLIMIT_NPROC] = uint64(s.Threads)
	}
	for what, most := range limits {
		if err := unix.Setrlimit(what, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return nil, fmt.Errorf("limit %d: %w", what, err)
		}
	}
	if err := syscall.Chdir("/"); err != nil {
		return nil, err
	}
	if s.User != 0 {
		if err := become(s.User, s.Group); err != nil {
			return nil, fmt.Errorf("become user %d: %w; make one named %s if this machine does not have that number", s.User, err, userName)
		}
	}
	// after the change of user, which takes this back
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return nil, fmt.Errorf("end with the engine: %w", err)
	}
	if os.Getppid() != s.Engine {
		return nil, errors.New("the engine has ended")
	}
	lacks, err := confine.Server()
	if err == nil && s.Strict && len(lacks) > 0 {
		err = fmt.Errorf("it cannot be confined (%s): allow these system calls, or serve with --api-process=off", strings.Join(lacks, "; "))
	}
	return lacks, err
}

// mayBecome tells whether this process may become another user and leave its groups.
func mayBecome() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var has [2]unix.CapUserData
	if err := unix.Capget(&header, &has[0]); err != nil {
		return false
	}
	const needed = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID
	return has[0].Effective&needed == needed
}

// become makes all threads another user, without capabilities.
func become(user, group int) error {
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setresgid(group, group, group); err != nil {
		return err
	}
	return syscall.Setresuid(user, user, user)
}
