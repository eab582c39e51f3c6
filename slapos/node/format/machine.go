package format

import (
	"io/fs"
	"net/netip"
)

// A Machine is the relevant state of a machine.
type Machine struct {
	UID          int // of the process that looked
	Users        map[string]Account
	Groups       map[string]Team
	Paths        map[string]Entry  // the state of each path that was asked for
	Files        map[string][]byte // the content of each file that was asked for
	Storage      []string          // the directories of the storage home, their paths
	Links        map[string]Link
	Addresses    []Assigned
	Routes       map[Route]bool
	NonlocalBind bool // programs may take addresses of IPv6 that are on no interface
}

// An Account is a user.
type Account struct {
	UID, GID    int
	Home, Shell string
	Locked      bool // password login is disabled
}

// A Team is a group.
type Team struct {
	GID     int
	Members []string // without those whose primary group it is
}

// An Entry is something in the file system.
type Entry struct {
	Mode     fs.FileMode
	UID, GID int
}

// A Link is a network interface.
type Link struct {
	Index int
	Kind  string // "tap", "tun", or what the kernel calls it
	Owner int    // user of a tap or tun; -1: none
	Up    bool
}

// Assigned is an address of an interface.
type Assigned struct {
	Link      string
	Prefix    netip.Prefix
	Temporary bool // made up by the kernel for a while
	Tentative bool // the kernel still asks whether another machine has it
	Failed    bool // another has
}

// A Route says through which interface a network is reached.
type Route struct {
	Link  string
	To    netip.Prefix
	Via   netip.Addr // invalid: it is there
	Local bool       // it is this machine
}
