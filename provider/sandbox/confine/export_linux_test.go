package confine

import "golang.org/x/sys/unix"

// Call is a row of the table.
type Call struct {
	Name         string
	AMD64, ARM64 int
	Rule         string
}

// Calls returns the table in words.
func Calls() []Call {
	names := map[rule]string{eperm: "eperm", enosys: "enosys", nested: "nested", hidden: "hidden", cloned: "cloned", unshared: "unshared",
		families: "families", terminals: "terminals", personalities: "personalities", contexts: "contexts"}
	var out []Call
	for _, c := range calls() {
		out = append(out, Call{c.name, int(c.amd64), int(c.arm64), names[c.rule]})
	}
	return out
}

// Filter returns the program for an architecture.
func Filter(arch string, nesting bool) []unix.SockFilter {
	return filter(arch, permits{nesting: nesting, clone3: nesting, aio: nesting})
}
