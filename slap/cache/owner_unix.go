//go:build unix

package cache

import (
	"fmt"
	"os"
	"syscall"
)

// ownerOf is to whom belongs what is made beside a directory: its owner, where we may give things away; -1 for ourselves.
func ownerOf(path string) (uid, gid int, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	if os.Geteuid() != 0 {
		return -1, -1, nil
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, fmt.Errorf("%s: its owner is not told", path)
	}
	return int(st.Uid), int(st.Gid), nil
}
