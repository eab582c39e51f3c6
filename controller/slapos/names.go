package slapos

import (
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/master/web"
)

// anyName in server_names has a master answer under every name.
const anyName = "*"

// Names are the names by which a master is asked by who does not speak TLS. A page of another
// site can have its own name lead to this machine, and its browser then takes the master for that
// site: it is known by the name. An address in place of a name cannot be led elsewhere, so that is
// always one.
type Names map[string]bool

// ReadNames are those of this machine, of the address on which a master listens, and of the
// file.
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

// namedHost is what a request names as its host, without the port, in one of the ways in which that
// can be written.
func namedHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// Own says whether a request names this master. Who names none is no browser.
func (names Names) Own(host string) bool {
	name := namedHost(host)
	address, _, _ := strings.Cut(name, "%") // its zone
	return host == "" || names[anyName] || names[name] || strings.HasSuffix(name, ".localhost") || net.ParseIP(address) != nil
}

// Guard answers only what comes by TLS, whose certificates prove more, or names this master.
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
