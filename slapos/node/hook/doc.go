// Package hook has what a SlapOS node does for a partition beside running its instance, where its
// settings say so (manager_list) and the instance asks for it by a file: run something before it is
// destroyed (prerm), have ports of the machine lead to it (portredir), give it disks (devperm), let
// it speak to a few addresses only (whitelistfirewall), give it a core of its own (cpuset).
//
// What an instance asks for is written by its own user, and is checked as such.
package hook

// The hooks, by the names that manager_list has.
const (
	Prerm     = "prerm"
	PortRedir = "portredir"
	DevPerm   = "devperm"
	Whitelist = "whitelistfirewall"
	CPUSet    = "cpuset"
)
