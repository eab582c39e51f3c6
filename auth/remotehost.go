package auth

import (
	"net"
	"net/http"
)

// RemoteHost returns the host that a request comes from; "": this machine's socket.
func RemoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
