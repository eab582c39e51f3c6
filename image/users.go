package image

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image/layer"
)

// User is an account of an image.
type User struct {
	Name   string // "": a number that no account has
	UID    int
	GID    int
	Groups []int  // other groups, ascending
	Home   string // "/" by default
	Shell  string // "": not said
}

// LookupUser finds the account of a Config's User: "" (root), "name", "uid", "name:group",
// "uid:gid". It reads /etc/passwd and /etc/group of a stack of layers, bottom first, as overlay
// would show them: no link leads out. A number needs no account. The error is compute.ErrNotFound
// for an unknown name.
func LookupUser(dirs []string, spec string) (User, error) {
	who, group, grouped := strings.Cut(spec, ":")
	if who == "" {
		who = "0"
	}
	bad := func(kind error, err error) (User, error) {
		return User{}, failed("LookupUser", spec, kind, err, "user = NAME or UID[:GID], as the image has them")
	}
	passwd, err := layer.ReadIn(dirs, "etc/passwd")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return bad(compute.ErrFailed, fmt.Errorf("/etc/passwd of the image: %w", err))
	}
	groups, err := layer.ReadIn(dirs, "etc/group")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return bad(compute.ErrFailed, fmt.Errorf("/etc/group of the image: %w", err))
	}
	u := User{Home: "/"}
	number, err := account(who)
	found := false
	for f := range lines(passwd, 7) {
		uid, err1 := account(f[2])
		gid, err2 := account(f[3])
		if err1 != nil || err2 != nil || f[0] != who && !(err == nil && uid == number) {
			continue
		}
		u = User{Name: f[0], UID: uid, GID: gid, Home: f[5], Shell: f[6]}
		if u.Home == "" {
			u.Home = "/"
		}
		found = true
		break
	}
	if !found {
		if err != nil {
			return bad(compute.ErrNotFound, fmt.Errorf("the image has no user %q", who))
		}
		u.UID = number
	}
	if grouped && group != "" {
		gid, err := account(group)
		known := err == nil
		for f := range lines(groups, 3) {
			if n, e := account(f[2]); e == nil && f[0] == group {
				gid, known = n, true
				break
			}
		}
		if !known {
			return bad(compute.ErrNotFound, fmt.Errorf("the image has no group %q", group))
		}
		u.GID = gid
		return u, nil // as docker: a user that names a group gets that one alone
	}
	for f := range lines(groups, 4) {
		if gid, err := account(f[2]); err == nil && u.Name != "" && gid != u.GID && slices.Contains(strings.Split(f[3], ","), u.Name) {
			u.Groups = append(u.Groups, gid)
		}
	}
	slices.Sort(u.Groups)
	u.Groups = slices.Compact(u.Groups)
	return u, nil
}

// account reads the number of a user or group.
func account(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && n == 1<<32-1 {
		err = errors.New("that number means nobody at all")
	}
	return int(n), err
}

// lines iterates over the lines of a file of accounts with at least so many fields.
func lines(file []byte, fields int) func(func([]string) bool) {
	return func(yield func([]string) bool) {
		sc := bufio.NewScanner(bytes.NewReader(file))
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			if f := strings.Split(strings.TrimSpace(sc.Text()), ":"); len(f) >= fields && f[0] != "" && f[0][0] != '#' && !yield(f) {
				return
			}
		}
	}
}
