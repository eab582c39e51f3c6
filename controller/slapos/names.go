package slapos

import (
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/master/web"
)

// anyName in server_names has a master answer to every name.
const anyName = "*"

// Names are the names of a master for requests without TLS. A page of another site can make its own
// name resolve to this machine (DNS rebinding); the browser then takes the master for that site,
// but sends the site's name. An IP address as the host cannot be rebound, so it is always accepted.
type Names map[string]bool

// ReadNames returns the names of this machine, of the address that a master listens on, and those
// in the file.
func ReadNames(f *cfg.File, host string) (Names, error) {
	names := Names{"localhost": true, namedHost(host): true}
	if own, err := os.Hostname(); err == nil {
		first, _, _ := strings.Cut(own, ".")
		names[namedHost(own)], names[namedHost(first)] = true, true
	}
	lines, err := f.Lines("slapproxy", "server_names")
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		for _, name := range strings.Fields(line) {
			if strings.ContainsAny(name, ":/@") {
				return nil, f.Fail("slapproxy", "server_names", "has a word that is no name of a machine: %q", name)
			}
			names[namedHost(name)] = true
		}
	}
	return names, nil
}

// namedHost returns the host of a request in one form, without the port.
func namedHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// Own reports whether a request names this master. One without a host is not a browser's.
func (names Names) Own(host string) bool {
	name := namedHost(host)
	address, _, _ := strings.Cut(name, "%") // without its zone
	return host == "" || names[anyName] || names[name] || strings.HasSuffix(name, ".localhost") || net.ParseIP(address) != nil
}

// Guard passes on requests that use TLS, or that name this master; it refuses others.
func (names Names) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil && !names.Own(r.Host) {
			text := "This master is not known by the name " + namedHost(r.Host) + ": server_names in [slapproxy] has the names by which it is."
			web.Refuse(w, r, http.StatusMisdirectedRequest, text)
			return
		}
		next.ServeHTTP(w, r)
	})
}
