package cgroup

import (
	"path"
	"slices"
	"strings"
)

// hierarchy is one of the kernel's trees of groups.
type hierarchy struct {
	v2          bool
	controllers []string // of version 1: its controllers; version 2 has them in its files
	mount       string   // where it is mounted; "": nowhere in sight
	root        string   // the group that is mounted there, seen from our name space
	readOnly    bool
	own         string // the group of this process, seen from our name space
}

// parse joins the hierarchies of /proc/self/cgroup with their mounts of /proc/self/mountinfo. Of
// several mounts it takes the first that may be written to, as a later one is often a copy for
// another program.
func parse(mountinfo, groups string) []hierarchy {
	var out []hierarchy
	for line := range strings.Lines(groups) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		h := hierarchy{own: f[2]}
		if f[1] == "" {
			h.v2 = f[0] == "0"
			if !h.v2 {
				continue
			}
		} else if strings.HasPrefix(f[1], "name=") {
			continue // systemd's own, without controllers
		} else {
			h.controllers = strings.Split(f[1], ",")
		}
		out = append(out, h)
	}
	for line := range strings.Lines(mountinfo) {
		if !strings.Contains(line, " - cgroup") {
			continue
		}
		before, after, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if len(left) < 6 || len(right) < 3 || right[0] != "cgroup" && right[0] != "cgroup2" {
			continue
		}
		options := strings.Split(right[2], ",")
		readOnly := slices.Contains(strings.Split(left[5], ","), "ro") || slices.Contains(options, "ro")
		for i := range out {
			h := &out[i]
			if h.v2 != (right[0] == "cgroup2") || h.mount != "" && (!h.readOnly || readOnly) {
				continue
			}
			if h.v2 || slices.Contains(options, h.controllers[0]) {
				h.mount, h.root, h.readOnly = unescape(left[4]), unescape(left[3]), readOnly
			}
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
		if s[i] == '\\' && i+3 < len(s) && octal(s[i+1]) && octal(s[i+2]) && octal(s[i+3]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octal(c byte) bool { return c >= '0' && c <= '7' }

// ancestors returns the directories of our own group and of those above it, up to the mount
// point, ours first. It returns only the mount point if our group is not below the mount, or a
// name space hides its name there.
func (h *hierarchy) ancestors() []string {
	rel, below := h.own, false
	switch {
	case strings.HasPrefix(h.own, "/..") || strings.HasPrefix(h.root, "/.."):
	case h.root == "/":
		below = true
	case h.own == h.root || strings.HasPrefix(h.own, h.root+"/"):
		rel, below = h.own[len(h.root):], true
	}
	if !below {
		return []string{h.mount}
	}
	var out []string
	for rel = path.Clean("/" + rel); rel != "/"; rel = path.Dir(rel) {
		out = append(out, h.mount+rel)
	}
	return append(out, h.mount)
}
