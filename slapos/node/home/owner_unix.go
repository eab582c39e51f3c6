//go:build unix

package home

import (
	"io/fs"
	"syscall"
)

// quiet opens a FIFO or a device without waiting, and takes no terminal.
const quiet = syscall.O_NONBLOCK | syscall.O_NOCTTY

func owner(i fs.FileInfo) (uid, gid int) {
	st := i.Sys().(*syscall.Stat_t)
	return int(st.Uid), int(st.Gid)
}

// links is how many names a file has.
func links(i fs.FileInfo) uint64 { return uint64(i.Sys().(*syscall.Stat_t).Nlink) }
