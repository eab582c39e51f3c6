package front

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/sandbox/confine"
)

// processes is how many threads a user of its own may have.
const processes = 512

// confined gives up all that serving does not need, and returns what this machine does not have for
// that.
func confined(s setup) ([]string, error) {
	limits := map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_MEMLOCK: 0}
	if s.User != 0 {
		limits[unix.RLIMIT_NPROC] = processes
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
		err = fmt.Errorf("it cannot be confined (%s): allow these system calls, or serve without --api-process", strings.Join(lacks, "; "))
	}
	return lacks, err
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
