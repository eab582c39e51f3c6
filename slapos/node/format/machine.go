package format

import (
	"io/fs"
	"net/netip"
)

// A Machine is what was found on a machine, as far as it matters here.
type Machine struct {
	UID          int // who looked
	Users        map[string]Account
	Groups       map[string]Team
	Paths        map[string]Entry  // of those that were asked for, what is there
	Files        map[string][]byte // content, of those that were asked for
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
	Locked      bool // nobody can sign in with a password
}

// A Team is a group.
type Team struct {
	GID     int
	Members []string // but for those whose own it is
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
	Owner int    // user of a tap or tun; -1: nobody
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
