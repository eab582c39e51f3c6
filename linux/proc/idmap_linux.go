package proc

import (
	"fmt"
	"os"
	"strings"
)

// IDsMapped reports whether user and group ids are ours to give: the root of a container often
// has but a few, and the kernel takes it for an ordinary user.
func IDsMapped(first, count int64) bool {
	for _, name := range []string{"/proc/self/uid_map", "/proc/self/gid_map"} {
		text, err := os.ReadFile(name)
		if err != nil {
			return false
		}
		covered := false
		for line := range strings.Lines(string(text)) {
			var from, outside, n int64
			if k, _ := fmt.Sscan(line, &from, &outside, &n); k == 3 {
				covered = covered || from <= first && from+n >= first+count
			}
		}
		if !covered {
			return false
		}
	}
	return true
}
