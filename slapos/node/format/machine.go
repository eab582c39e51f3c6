package format

import (
	"io/fs"
	"net/netip"
)

// A machine is the relevant state of a machine.
type machine struct {
	UID          int // of the process that looked
	Users        map[string]account
	Groups       map[string]unixGroup
	Paths        map[string]entry  // the state of each path that was asked for
	Files        map[string][]byte // the content of each file that was asked for
	Storage      []string          // the directories of the storage home, their paths
	Links        map[string]link
	Addresses    []assigned
	Routes       map[route]bool
	NonlocalBind bool // programs may take addresses of IPv6 that are on no interface
}

// An account is a user.
type account struct {
	UID, GID    int
	Home, Shell string
	Locked      bool // password login is disabled
}

// A unixGroup is a group.
type unixGroup struct {
	GID     int
	Members []string // without those whose primary group it is
}

// An entry is something in the file system.
type entry struct {
	Mode     fs.FileMode
	UID, GID int
}

// A link is a network interface.
type link struct {
	Index int
	Kind  string // "tap", "tun", or what the kernel calls it
	Owner int    // user of a tap or tun; -1: none
	Up    bool
}

// assigned is an address of an interface.
type assigned struct {
	Link      string
	Prefix    netip.Prefix
	Temporary bool // made up by the kernel for a while
	Tentative bool // the kernel still asks whether another machine has it
	Failed    bool // another has
}

// A route says through which interface a network is reached.
type route struct {
	Link  string
	To    netip.Prefix
	Via   netip.Addr // invalid: it is there
	Local bool       // it is this machine
}
