package apiprocess

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// userName is the user that the API process becomes where the engine is root and there is such a
// user.
const userName = "hostler-api"

// The process takes one of these user ids if no user has that name. Nothing else gives them out:
// the numbers below belong to systems, services and containers.
const firstUser, lastUser = 1879048192, 2147483647

// HasOwnUser returns why the API process cannot be a user of its own; nil: it can. The engine has
// to be root for that, with all numbers of users and the right to become one.
func HasOwnUser() error {
	if os.Geteuid() != 0 {
		return errors.New("the controller is not root")
	}
	if !mayBecome() {
		return errors.New("the controller may not become another user")
	}
	for _, file := range []string{"/proc/self/uid_map", "/proc/self/gid_map"} {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if !isMapped(string(text), firstUser) {
			return errors.New("this user namespace does not have the numbers from " + strconv.Itoa(firstUser) + " on")
		}
	}
	return nil
}

// isMapped tells whether a table of a user namespace has a number.
func isMapped(table string, number uint64) bool {
	for line := range strings.Lines(table) {
		var first, outside, n uint64
		if _, err := fmt.Sscan(line, &first, &outside, &n); err == nil && number >= first && number-first < n {
			return true
		}
	}
	return false
}

// chooseUser is whom the API process is to become; 0: it stays who it is, as it may not be anybody
// else.
func chooseUser() (uid, gid int, err error) {
	if os.Geteuid() != 0 {
		return 0, 0, nil
	}
	if u, err := user.Lookup(userName); err == nil {
		uid, err := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err == nil && err2 == nil && uid != 0 {
			return uid, gid, nil
		}
	}
	taken := usersWithProcesses()
	for i := range 1000 {
		n := firstUser + (os.Getpid()+i)%(lastUser-firstUser+1)
		if taken[n] {
			continue
		}
		if _, err := user.LookupId(strconv.Itoa(n)); err == nil {
			continue
		}
		if _, err := user.LookupGroupId(strconv.Itoa(n)); err == nil {
			continue
		}
		return n, n, nil
	}
	return 0, 0, fmt.Errorf("no user from number %d on is free: make one named %s", firstUser, userName)
}

// usersWithProcesses are the users that have processes.
func usersWithProcesses() map[int]bool {
	out := map[int]bool{}
	entries, _ := os.ReadDir("/proc") // where there is none nothing is known
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		if info, err := e.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				out[int(st.Uid)] = true
			}
		}
	}
	return out
}
