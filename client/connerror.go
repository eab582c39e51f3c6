package client

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/coder/websocket"

	"github.com/hostler-project/hostler/compute"
)

// errorConn is the stream of a connection through the controller. Its errors say why it ended.
type errorConn struct{ net.Conn }

// Read returns an error of kind ErrLost when the connection has ended.
func (w errorConn) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		err = connError(err)
	}
	return n, err
}

// connError returns why a connection through the controller ended, in the controller's words if
// it gave a reason.
func connError(err error) error {
	lost := &compute.Error{Kind: compute.ErrLost}
	var said websocket.CloseError
	switch {
	case errors.As(err, &said) && said.Reason != "":
		lost.Err = errors.New("the controller ended the connection: " + said.Reason)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.As(err, &said):
		lost.Err = errors.New("the controller stopped, or was restarted, while it was used")
	default:
		lost.Err = fmt.Errorf("the connection to the controller ended while it was used: %w", err)
	}
	if said.Reason == "" {
		lost.Hint = "what ran through it has ended, unless it was detached: see hostler runs, and run it again when hostler status answers"
	}
	return lost
}
