package apiprocess

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// Hosts are the names by which a controller is asked. A page of another site can have its own name
// lead to a controller's address, and then it would be a page of the same site to a browser; so who
// asks by another name is refused.
type Hosts struct {
	// Names are further ones: "*.example.com" stands for all in a domain, "*" for every name. nil:
	// there are none.
	Names func() []string
	// Certificate is the listener's, whose names count too; nil, or one that returns nil: there is
	// none.
	Certificate func() *x509.Certificate
}

// healthPaths tell nothing and are asked by address and port, as a kubelet does.
var healthPaths = map[string]bool{"/healthz": true, "/readyz": true}

// strictTransport is how long a browser is to speak TLS alone with this name, in seconds: a year.
const strictTransport = "max-age=31536000"

// Only lets through what is asked by such a name, or by a unix socket.
func (h Hosts) Only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		host := hostOf(r.Host)
		if at != nil && at.Network() != "unix" && !healthPaths[r.URL.Path] && !h.known(host, at) {
			p := api.NewProblem(&compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("this controller is not called %q", r.Host),
				Hint: "ask it by its address or a name of its certificate, or have hosts in [controller] of hostler.conf name this one"})
			p.Title, p.Status = http.StatusText(http.StatusMisdirectedRequest), http.StatusMisdirectedRequest
			writeProblem(w, p)
			return
		}
		// for all ports of this machine another program may answer without
		if r.TLS != nil && !isLocal(host) {
			w.Header().Set("Strict-Transport-Security", strictTransport)
		}
		next.ServeHTTP(w, r)
	})
}

// known tells whether a host is the one that was asked, at its address.
func (h Hosts) known(host string, at net.Addr) bool {
	if isLocal(host) {
		return true
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if here, err := netip.ParseAddrPort(at.String()); err == nil && here.Addr().Unmap().WithZone("") == ip.Unmap().WithZone("") {
			return true
		}
	}
	if h.Certificate != nil {
		if c := h.Certificate(); c != nil && c.VerifyHostname(host) == nil {
			return true
		}
	}
	if h.Names != nil {
		for _, name := range h.Names() {
			if isNamed(strings.ToLower(name), host) {
				return true
			}
		}
	}
	return false
}

// isNamed tells whether a host has a name, or is in the domain that one stands for.
func isNamed(name, host string) bool {
	if domain, all := strings.CutPrefix(name, "*"); all {
		return domain == "" || strings.HasPrefix(domain, ".") && strings.HasSuffix(host, domain)
	}
	return name == host
}

// isLocal tells whether a host is what browsers take for this machine without asking anybody.
func isLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// hostOf is the host of a Host header, without its port.
func hostOf(header string) string {
	host := header
	if h, _, err := net.SplitHostPort(header); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
