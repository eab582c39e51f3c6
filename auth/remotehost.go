package auth

import (
	"net"
	"net/http"
)

// RemoteHost is the host that a request comes from, or what its connection says that has none.
func RemoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
