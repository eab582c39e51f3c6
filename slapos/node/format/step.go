package format

import (
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
)

// A step is one change of a machine. Its text is the command that would make it by hand, if there
// is one.
type step interface{ String() string }

// The steps.
type (
	// makeDir makes a directory and those above it. They belong to Owner and its group; "": to our
	// own user.
	makeDir struct {
		Path  string
		Mode  fs.FileMode
		Owner string
	}
	// own gives a directory, and nothing in it, its owner and mode.
	own struct {
		Path  string
		Mode  fs.FileMode
		Owner string // "": as it is
	}
	// command runs one of the programs for users and groups.
	command struct{ Argv []string }
	// putFile writes a file whole or not at all.
	putFile struct {
		Path string
		Data []byte
		Mode fs.FileMode
	}
	// putInto does so in a partition's directory.
	putInto struct {
		Dir, Name string
		Data      []byte
	}
	// archiveState adds the state file as it was to its archive.
	archiveState struct{ Path string }
	// addLink makes a tap or tun interface that a user may use.
	addLink struct{ Name, Kind, Owner string }
	// setUp switches an interface on.
	setUp struct{ Link string }
	// addAddress gives an interface an address.
	addAddress struct {
		Link    string
		Prefix  netip.Prefix
		NoRoute bool // to its network
	}
	// removeAddress takes one of our addresses from an interface.
	removeAddress struct {
		Link   string
		Prefix netip.Prefix
	}
	// addRoute adds a route.
	addRoute struct{ route }
	// bindNonlocal lets programs take addresses of IPv6 that are on no interface.
	bindNonlocal struct{}
)

func owned(owner string) string {
	if owner == "" {
		return ""
	}
	return " -o " + owner + " -g " + owner
}

func (s makeDir) String() string {
	return fmt.Sprintf("install -d -m %04o%s %s", s.Mode, owned(s.Owner), s.Path)
}

func (s own) String() string {
	text := fmt.Sprintf("chmod %04o %s", s.Mode, s.Path)
	if s.Owner != "" {
		text = fmt.Sprintf("chown %s:%s %s && %s", s.Owner, s.Owner, s.Path, text)
	}
	return text
}

func (s command) String() string { return strings.Join(s.Argv, " ") }

func (s putFile) String() string { return fmt.Sprintf("write %s (%d bytes)", s.Path, len(s.Data)) }

func (s putInto) String() string {
	return fmt.Sprintf("write %s/%s (%d bytes)", s.Dir, s.Name, len(s.Data))
}

func (s archiveState) String() string { return fmt.Sprintf("add %s to %s.zip", s.Path, s.Path) }

func (s addLink) String() string {
	return fmt.Sprintf("ip tuntap add dev %s mode %s user %s", s.Name, s.Kind, s.Owner)
}

func (s setUp) String() string { return "ip link set dev " + s.Link + " up" }

func (s addAddress) String() string {
	text := fmt.Sprintf("ip address add %s dev %s", s.Prefix, s.Link)
	if s.NoRoute {
		text += " noprefixroute"
	}
	return text
}

func (s removeAddress) String() string {
	return fmt.Sprintf("ip address delete %s dev %s", s.Prefix, s.Link)
}

func (s addRoute) String() string {
	text := "ip route add "
	if s.To.Addr().Is6() {
		text = "ip -6 route add "
	}
	if s.Local {
		text += "local "
	}
	text += s.To.String()
	if s.Via.IsValid() {
		text += " via " + s.Via.String()
	}
	return text + " dev " + s.Link
}

func (bindNonlocal) String() string { return "sysctl -w net.ipv6.ip_nonlocal_bind=1" }
