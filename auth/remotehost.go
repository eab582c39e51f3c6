package auth

import (
	"net"
	"net/http"
)

// RemoteHost returns the host of the request's remote address, or the whole address if it has no
// port.
func RemoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
