//go:build linux

package network

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// Resolver returns the resolv.conf for sandboxes with NAT, and the name servers in it for
// Options.Nameservers, from the files of a host whose root is root ("" for this one's). A host
// without name servers that a sandbox can reach gives ErrUnavailable, with a hint; the text is
// usable even then.
func Resolver(root string) (text string, servers []netip.Addr, err error) {
	read := func(file string) (string, error) {
		b, err := os.ReadFile(filepath.Join(root, file))
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return string(b), err
	}
	host, err := read("/etc/resolv.conf")
	if err != nil {
		return "", nil, &compute.Error{Op: "network.Resolver", Kind: compute.ErrFailed, Err: err}
	}
	// where systemd-resolved names its own servers
	upstream, err := read("/run/systemd/resolve/resolv.conf")
	if err != nil {
		return "", nil, &compute.Error{Op: "network.Resolver", Kind: compute.ErrFailed, Err: err}
	}
	text, servers = resolvConf(host, upstream)
	if len(servers) == 0 {
		return text, nil, &compute.Error{
			Op: "network.Resolver", Kind: compute.ErrUnavailable,
			Err:  errors.New("this machine has no name server that a sandbox could reach"),
			Hint: "name one that is not on 127.0.0.1 in /etc/resolv.conf",
		}
	}
	return text, servers, nil
}

// resolvConf makes a sandbox's resolv.conf from the host's: its search list and options, and its
// IPv4 name servers that another network can reach. Where the host asks itself (127.0.0.53), the
// servers come from upstream, which may be "". It returns the servers apart, too.
func resolvConf(host, upstream string) (text string, servers []netip.Addr) {
	var out []string
	own := false
	for _, conf := range []string{host, upstream} {
		for line := range strings.Lines(conf) {
			f := strings.Fields(line)
			switch {
			case len(f) < 2 || f[0][0] == '#' || f[0][0] == ';':
			case f[0] == "nameserver":
				addr, err := netip.ParseAddr(f[1])
				if err != nil {
					continue
				}
				addr = addr.Unmap()
				own = own || addr.IsLoopback()
				// Sandboxes have no IPv6, and an address with a zone means something on one link of
				// the host only.
				if addr.Is4() && !addr.IsLoopback() && !addr.IsUnspecified() && !slices.Contains(servers, addr) {
					servers = append(servers, addr)
				}
			case conf == host && (f[0] == "search" || f[0] == "domain" || f[0] == "sortlist"):
				out = append(out, strings.Join(f, " "))
			case conf == host && f[0] == "options":
				// these are for the host's own server
				keep := slices.DeleteFunc(f[1:], func(o string) bool { return o == "trust-ad" || o == "edns0" && own })
				if len(keep) > 0 {
					out = append(out, "options "+strings.Join(keep, " "))
				}
			}
		}
		if len(servers) > 0 {
			break
		}
	}
	for _, s := range servers {
		out = append(out, "nameserver "+s.String())
	}
	if len(out) == 0 {
		return "", nil
	}
	return strings.Join(out, "\n") + "\n", servers
}

// ResolvAt replaces the name servers of a resolv.conf by one.
func ResolvAt(text string, server netip.Addr) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "nameserver ") {
			out.WriteString(line)
		}
	}
	return out.String() + "nameserver " + server.String() + "\n"
}
