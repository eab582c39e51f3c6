package runas

import (
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/hostler-project/hostler/compute"
)

// As is the user with this uid and gid, with its supplementary groups, to run programs as. It is
// nil without root, as we can be no other user then. Root's own are refused.
func As(uid, gid uint32) (*User, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	if uid == 0 || gid == 0 {
		return nil, &compute.Error{
			Op: "runas.As", Kind: compute.ErrDenied,
			Err:  fmt.Errorf("what belongs to uid %d and gid %d is not run", uid, gid),
			Hint: "give it to an ordinary user and his group: chown",
		}
	}
	u := &User{UID: uid, GID: gid}
	known, err := user.LookupId(strconv.Itoa(int(uid)))
	if err != nil {
		return u, nil // without a name, and so without groups
	}
	ids, err := known.GroupIds()
	if err != nil {
		return u, nil
	}
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil && n != 0 && uint32(n) != gid {
			u.Groups = append(u.Groups, uint32(n))
		}
	}
	return u, nil
}
