package auth

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// RemoteHost returns the host that a request comes from; "": this machine's socket.
func RemoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// Forwarded serves requests that proxies pass on as requests from the address that the proxies name
// in X-Forwarded-For: the last one there that is no proxy's. Nobody else's word counts.
func Forwarded(proxies func() []netip.Prefix, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known := proxies()
		isProxy := func(ip netip.Addr) bool {
			return slices.ContainsFunc(known, func(p netip.Prefix) bool { return p.Contains(ip) })
		}
		at, err := netip.ParseAddr(RemoteHost(r))
		named := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(named) - 1; i >= 0 && err == nil && isProxy(at.Unmap().WithZone("")); i-- {
			var ip netip.Addr
			if ip, err = netip.ParseAddr(strings.TrimSpace(named[i])); err == nil {
				at = ip.Unmap().WithZone("")
				with := *r
				with.RemoteAddr = net.JoinHostPort(at.String(), "0")
				r = &with
			}
		}
		next.ServeHTTP(w, r)
	})
}
