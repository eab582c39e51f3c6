package receive

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// accounts is a Conn that knows the user accounts of commands.
type accounts interface {
	Account(user string) (uid, gid int, err error)
}

// owner is the owner of a workspace's files; nil: the user of this process.
type owner struct{ uid, gid int }

// setOwner sets the owner of the workspace: the user that commands in it run as.
func (v *session) setOwner() error {
	if v.ask.User == "" {
		return nil
	}
	known, ok := provider.As[accounts](v.c.inner)
	if !ok {
		return fault(compute.ErrInvalid, "no workspaces for other users are kept here")
	}
	uid, gid, err := known.Account(v.ask.User)
	if err != nil || uid == os.Geteuid() {
		return err
	}
	if os.Geteuid() != 0 {
		return &compute.Error{Op: "workspace", Kind: compute.ErrDenied,
			Err:  fmt.Errorf("only root there can keep a copy for %s", v.ask.User),
			Hint: "log in there as root or as that user, or leave the user out"}
	}
	v.owner = &owner{uid, gid}
	return nil
}

// dir returns the directory that holds the workspace, as commands see it.
func (v *session) dir() string {
	if v.owner != nil && v.c.opt.Others != "" {
		return v.c.opt.Others
	}
	return v.c.opt.Dir
}

// of sets the owner of an open file or directory, which no other user may have put there.
func (o *owner) of(fd int) error {
	if o == nil {
		return nil
	}
	return unix.Fchown(fd, o.uid, o.gid)
}

// ofLink sets the owner of a link in an open directory that only this process may write.
func (o *owner) ofLink(dir int, name string) error {
	if o == nil {
		return nil
	}
	return unix.Fchownat(dir, name, o.uid, o.gid, unix.AT_SYMLINK_NOFOLLOW)
}

// adopt sets mode and owner of a new directory whose parent may belong to another user. If that
// user has replaced the directory meanwhile, adopt leaves it alone and fails.
func (o *owner) adopt(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if int(st.Uid) != os.Geteuid() {
		return errors.New("a directory that was made just now is somebody else's")
	}
	return errors.Join(unix.Fchmod(fd, 0o755), o.of(fd))
}
