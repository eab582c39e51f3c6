// Package hook has further services of a SlapOS node for a partition, if the node's settings allow
// them (manager_list) and the instance asks for them by a file:
//
//   - run a program before it is destroyed (prerm),
//   - forward ports of the machine to it (portredir),
//   - give it disks (devperm),
//   - let it speak to a few addresses only (whitelistfirewall),
//   - give it a core of its own (cpuset).
//
// The instance's own user writes these files, so each is checked as untrusted input.
package hook

// The hooks, by the names that manager_list has.
const (
	prerm     = "prerm"
	portRedir = "portredir"
	devPerm   = "devperm"
	whitelist = "whitelistfirewall"
	cpuSet    = "cpuset"
)
