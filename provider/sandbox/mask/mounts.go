//go:build linux

package mask

import (
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Mount is a line of /proc/self/mountinfo.
type Mount struct {
	Path string // where it is
	Dev  string // the number of its file system
	Root string // the directory of that file system which is seen there
	Kind string // of file system
}

// Disks are the kinds of file systems that a sandbox of the host's root shows: those with files of
// the machine's own.
var Disks = []string{"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "erofs", "squashfs", "overlay"}

// Mounts lists the mounts of this process in the order in which they were made; of several at one
// path, the last.
func Mounts() ([]Mount, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return readMounts(string(data)), nil
}

// readMounts reads the format of /proc/self/mountinfo, of proc(5). It skips lines that are not
// in it.
func readMounts(text string) []Mount {
	var all []Mount
	last := map[string]int{}
	for line := range strings.Lines(text) {
		// 36 35 98:0 /root /mount/point options - type source options
		before, after, ok := strings.Cut(line, " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(rest) < 1 {
			continue
		}
		m := Mount{unescape(fields[4]), fields[2], unescape(fields[3]), rest[0]}
		last[m.Path] = len(all)
		all = append(all, m)
	}
	out := make([]Mount, 0, len(last))
	for i, m := range all {
		if last[m.Path] == i {
			out = append(out, m)
		}
	}
	return out
}

// unescape decodes the octal escapes of mountinfo.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// twice lists the mounts of file systems that are mounted more than once: only these give a second
// way to a file.
func twice(all []Mount) []Mount {
	n := map[string]int{}
	for _, m := range all {
		if slices.Contains(Disks, m.Kind) {
			n[m.Dev]++
		}
	}
	var out []Mount
	for _, m := range all {
		if n[m.Dev] > 1 {
			out = append(out, m)
		}
	}
	return out
}

// mounts lists those by which something that is hidden could be seen at a place that is shown, and
// those that it would be seen by else.
func (o *Options) mounts() []Mount {
	var near []string
	for _, l := range shownOnHost() {
		near = append(near, strings.TrimSuffix(l.Path, "*"))
	}
	near = append(slices.Concat(near, o.Show, o.Tree, o.Near), o.Home)
	return twice(slices.DeleteFunc(slices.Clone(o.Mounts), func(m Mount) bool {
		return m.Root != "/" && !slices.ContainsFunc(near, func(p string) bool {
			return p != "" && (strings.HasPrefix(m.Path, p) || below(p, m.Path) || strings.HasPrefix(p, "~"))
		})
	}))
}

// on returns the mount that a path lies on.
func on(all []Mount, p string) (Mount, bool) {
	best, found := Mount{}, false
	for _, m := range all {
		if (m.Path == p || below(p, m.Path)) && len(m.Path) >= len(best.Path) {
			best, found = m, true
		}
	}
	return best, found
}

// ways returns the other paths that show the content at p, or a part of it.
func ways(all []Mount, p string) []string {
	at, ok := on(all, p)
	if !ok {
		return nil
	}
	key := path.Join(at.Root, strings.TrimPrefix(p, strings.TrimSuffix(at.Path, "/")))
	var out []string
	for _, m := range all {
		other := m.Path // it is of what is at p
		switch {
		case m == at || m.Dev != at.Dev:
			continue
		case m.Root == key || below(key, m.Root):
			other = path.Join(m.Path, strings.TrimPrefix(key, strings.TrimSuffix(m.Root, "/")))
		case !below(m.Root, key):
			continue
		}
		if there, ok := on(all, other); ok && there == m && other != p { // nothing lies over it
			out = append(out, other)
		}
	}
	return out
}

// others repeats the rules for each other path that shows what they hide: a file system, or a part
// of it, may be mounted more than once.
func (b *ruleSet) others(all []Mount) {
	for p, kind := range maps.Clone(b.rules) { // which is added to
		for _, other := range ways(all, p) {
			if slices.Contains(b.people, p) {
				b.people = append(b.people, other)
			}
			b.put(other, kind, isOther, b.why[p])
		}
	}
}

// Second reports whether an earlier mount shows the content at a path as well, and where.
func Second(all []Mount, p string) (string, bool) {
	at, ok := on(all, p)
	if !ok {
		return "", false
	}
	key := path.Join(at.Root, strings.TrimPrefix(p, strings.TrimSuffix(at.Path, "/")))
	for _, first := range all {
		if first == at {
			return "", false
		}
		if first.Dev == at.Dev && (first.Root == key || below(key, first.Root)) {
			return path.Join(first.Path, strings.TrimPrefix(key, strings.TrimSuffix(first.Root, "/"))), true
		}
	}
	return "", false
}

// trees returns those of the working tree's directories that nothing hides but that they are in
// somebody's home.
func (b *ruleSet) trees(all []string) []string {
	var out []string
	for _, p := range all {
		place, what, err := b.w.find(p, true)
		if err != nil || what != isDir || place == "/" || place == b.home || below(b.home, place) ||
			fresh(place) && !below(place, b.home) || vital(place) {
			continue
		}
		hidden := false
		for q := place; q != "/"; q = path.Dir(q) {
			if k, ok := b.rules[q]; ok && k != Apart && q != "/home" && !slices.Contains(b.people, q) {
				hidden = true
			}
			if q == b.home {
				break
			}
		}
		if !hidden {
			out = append(out, place)
		}
	}
	return out
}
