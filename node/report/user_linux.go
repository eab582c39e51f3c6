package report

import (
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/node/home"
	"github.com/hostler-project/hostler/node/once"
)

// owner is who runs a partition's programs: whose its directory is, with all groups that user is in; nil, as we are, where we are not root. What is root's runs nothing.
func owner(d *home.Dir) (*once.User, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	uid, gid := d.Owner()
	if uid == 0 || gid == 0 {
		return nil, &compute.Error{Op: "report.Run", Kind: compute.ErrDenied, Err: fmt.Errorf("%s belongs to root: nothing of it is run", d.Path()), Hint: "hostler slapos node format gives partitions users of their own"}
	}
	u := &once.User{UID: uid, GID: gid}
	known, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return u, nil // a user without a name is in no more groups
	}
	ids, err := known.GroupIds()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return nil, err
		}
		if n != 0 && uint32(n) != gid {
			u.Groups = append(u.Groups, uint32(n))
		}
	}
	return u, nil
}
