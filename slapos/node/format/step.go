package format

import (
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
)

// A Step is one change of a machine. Its text is the command that would make it by hand, if there
// is one.
type Step interface{ String() string }

// The steps.
type (
	// MakeDir makes a directory and those above it. They belong to Owner and its group; "": to our
	// own user.
	MakeDir struct {
		Path  string
		Mode  fs.FileMode
		Owner string
	}
	// Own gives a directory, and nothing in it, its owner and mode.
	Own struct {
		Path  string
		Mode  fs.FileMode
		Owner string // "": as it is
	}
	// Command runs one of the programs for users and groups.
	Command struct{ Argv []string }
	// WriteFile writes a file whole or not at all.
	WriteFile struct {
		Path string
		Data []byte
		Mode fs.FileMode
	}
	// WriteInto does so in a partition's directory.
	WriteInto struct {
		Dir, Name string
		Data      []byte
	}
	// Archive adds the state file as it was to its archive.
	Archive struct{ Path string }
	// AddLink makes a tap or tun interface that a user may use.
	AddLink struct{ Name, Kind, Owner string }
	// SetUp switches an interface on.
	SetUp struct{ Link string }
	// AddAddress gives an interface an address.
	AddAddress struct {
		Link    string
		Prefix  netip.Prefix
		NoRoute bool // to its network
	}
	// RemoveAddress takes one of our addresses from an interface.
	RemoveAddress struct {
		Link   string
		Prefix netip.Prefix
	}
	// AddRoute adds a route.
	AddRoute struct{ Route }
	// BindNonlocal lets programs take addresses of IPv6 that are on no interface.
	BindNonlocal struct{}
)

func owned(owner string) string {
	if owner == "" {
		return ""
	}
	return " -o " + owner + " -g " + owner
}

func (s MakeDir) String() string {
	return fmt.Sprintf("install -d -m %04o%s %s", s.Mode, owned(s.Owner), s.Path)
}

func (s Own) String() string {
	text := fmt.Sprintf("chmod %04o %s", s.Mode, s.Path)
	if s.Owner != "" {
		text = fmt.Sprintf("chown %s:%s %s && %s", s.Owner, s.Owner, s.Path, text)
	}
	return text
}

func (s Command) String() string { return strings.Join(s.Argv, " ") }

func (s WriteFile) String() string { return fmt.Sprintf("write %s (%d bytes)", s.Path, len(s.Data)) }

func (s WriteInto) String() string {
	return fmt.Sprintf("write %s/%s (%d bytes)", s.Dir, s.Name, len(s.Data))
}

func (s Archive) String() string { return fmt.Sprintf("add %s to %s.zip", s.Path, s.Path) }

func (s AddLink) String() string {
	return fmt.Sprintf("ip tuntap add dev %s mode %s user %s", s.Name, s.Kind, s.Owner)
}

func (s SetUp) String() string { return "ip link set dev " + s.Link + " up" }

func (s AddAddress) String() string {
	text := fmt.Sprintf("ip address add %s dev %s", s.Prefix, s.Link)
	if s.NoRoute {
		text += " noprefixroute"
	}
	return text
}

func (s RemoveAddress) String() string {
	return fmt.Sprintf("ip address delete %s dev %s", s.Prefix, s.Link)
}

func (s AddRoute) String() string {
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

func (BindNonlocal) String() string { return "sysctl -w net.ipv6.ip_nonlocal_bind=1" }
