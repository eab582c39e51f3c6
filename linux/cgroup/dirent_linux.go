package cgroup

import (
	"bytes"
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// directory finds the first directory in the result of getdents64. A record has inode and offset of
// 8 bytes each, its length of 2, the type of 1, and the name up to a zero byte.
func directory(buf []byte, except []string) string {
	for len(buf) >= 19 {
		n := int(binary.NativeEndian.Uint16(buf[16:]))
		if n < 19 || n > len(buf) {
			return ""
		}
		name := buf[19:n]
		if i := bytes.IndexByte(name, 0); i >= 0 {
			name = name[:i]
		}
		if s := string(name); buf[18] == unix.DT_DIR && s != "." && s != ".." && !slices.Contains(except, s) {
			return s
		}
		buf = buf[n:]
	}
	return ""
}
