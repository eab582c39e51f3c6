package software

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/runas"
)

// A User is the software user, which owns a software root.
type User struct {
	Run  *runas.User // nil: we are not root, and the software user is our own
	Home string      // "" is unknown
}

// user is the owner of the software root.
func (b *Builder) user() (*User, error) {
	st, err := os.Stat(b.Root)
	if err == nil && !st.IsDir() {
		err = errors.New("it is no directory")
	}
	if err != nil {
		return nil, &compute.Error{
			Op: "software.Install", Kind: compute.ErrNotFound, Err: fmt.Errorf("the software root %s: %w", b.Root, err),
		}
	}
	owner := st.Sys().(*syscall.Stat_t)
	u := &User{}
	if known, err := user.LookupId(strconv.Itoa(int(owner.Uid))); err == nil {
		u.Home = known.HomeDir
	}
	if os.Geteuid() != 0 {
		u.Home, _ = os.UserHomeDir()
		return u, nil
	}
	if owner.Uid == 0 || owner.Gid == 0 {
		return nil, &compute.Error{Op: "software.Install", Kind: compute.ErrDenied,
			Hint: "give it to an ordinary user and his group: chown",
			Err:  fmt.Errorf("the software root %s belongs to root, as whom nothing is built", b.Root)}
	}
	u.Run = &runas.User{UID: owner.Uid, GID: owner.Gid}
	if known, err := user.LookupId(strconv.Itoa(int(owner.Uid))); err == nil {
		if ids, err := known.GroupIds(); err == nil {
			for _, id := range ids {
				if n, err := strconv.ParseUint(id, 10, 32); err == nil && n != 0 && uint32(n) != owner.Gid {
					u.Run.Groups = append(u.Run.Groups, uint32(n))
				}
			}
		}
	}
	return u, nil
}

// as runs f with the user's rights on files, and new files are the user's. These rights are those
// of the thread that f runs on, so f must not hand file work to others. Groups beside the user's
// own do not count.
func (u *User) as(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: it ends with this
		if err := u.become(); err != nil {
			done <- fmt.Errorf("a thread cannot have the rights of the software user: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// become gives this thread the rights of u on files. A nil Run changes only the umask.
func (u *User) become() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	unix.Umask(0o022)
	if u.Run == nil {
		return nil
	}
	// of this thread alone
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); errno != 0 {
		return errno
	}
	if err := errors.Join(unix.Setfsgid(int(u.Run.GID)), unix.Setfsuid(int(u.Run.UID))); err != nil {
		return err
	}
	gid, err := unix.SetfsgidRetGid(-1)
	uid, err2 := unix.SetfsuidRetUid(-1)
	if err = errors.Join(err, err2); err == nil && (uint32(gid) != u.Run.GID || uint32(uid) != u.Run.UID) {
		err = errors.New("the kernel did not change them")
	}
	return err
}
