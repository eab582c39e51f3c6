package connect

import (
	"bytes"
	"errors"
	"net/http"
	"strings"

	"github.com/coder/websocket"

	"github.com/hostler-project/hostler/compute"
)

var errNoSocket = &compute.Error{
	Kind: compute.ErrInvalid, Err: errors.New("this path is a WebSocket, and the request asks for none"),
	Hint: "GET /openapi.json says more",
}

// accept upgrades a request to a WebSocket. nil: it was refused and has been answered with a
// problem.
func (s *Sockets) accept(w http.ResponseWriter, r *http.Request, protocol string) *websocket.Conn {
	held := &refusalWriter{ResponseWriter: w}
	// a page of another origin is refused
	socket, err := websocket.Accept(
		held, r,
		&websocket.AcceptOptions{Subprotocols: []string{protocol}, CompressionMode: websocket.CompressionDisabled},
	)
	if err == nil {
		return socket
	}
	if held.status != 0 {
		kind := compute.ErrInvalid
		if held.status == http.StatusForbidden {
			kind = compute.ErrDenied
		}
		for _, h := range []string{"Connection", "Upgrade"} {
			w.Header().Del(h)
		}
		s.Errors.Refuse(w, r, &compute.Error{Kind: kind, Err: errors.New(strings.TrimSpace(held.text.String()))})
	}
	return nil
}

// refusalWriter holds back an answer that is an error.
type refusalWriter struct {
	http.ResponseWriter
	status int
	text   bytes.Buffer
}

func (w *refusalWriter) WriteHeader(status int) {
	if status >= 400 {
		w.status = status
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *refusalWriter) Write(b []byte) (int, error) {
	if w.status != 0 {
		return w.text.Write(b)
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap returns the writer below, whose connection a WebSocket takes over.
func (w *refusalWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
