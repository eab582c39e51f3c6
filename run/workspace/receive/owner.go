package receive

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// accounts is a Conn that knows the users whom commands run as.
type accounts interface {
	Account(user string) (uid, gid int, err error)
}

// owner is whose the files of a workspace are; nil: our own.
type owner struct{ uid, gid int }

// whose finds out whose the workspace is to be: that of the user who runs commands in it.
func (v *session) whose() error {
	if v.ask.User == "" {
		return nil
	}
	known, ok := compute.As[accounts](v.c.inner)
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

// dir is the directory that the workspace is in, as commands see it.
func (v *session) dir() string {
	if v.owner != nil && v.c.opt.Others != "" {
		return v.c.opt.Others
	}
	return v.c.opt.Dir
}

// of gives an open file or directory its owner. It must be one that nobody else could put there.
func (o *owner) of(fd int) error {
	if o == nil {
		return nil
	}
	return unix.Fchown(fd, o.uid, o.gid)
}

// ofLink gives a link in an open directory, which is ours alone, its owner.
func (o *owner) ofLink(dir int, name string) error {
	if o == nil {
		return nil
	}
	return unix.Fchownat(dir, name, o.uid, o.gid, unix.AT_SYMLINK_NOFOLLOW)
}

// adopt gives a directory that was made just now, in one that may be another user's, its mode and
// owner. What that user has put in its place meanwhile is left as it is.
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
