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

// way is the stream of a connection through the controller, which says in words for people why it
// ended.
type way struct{ net.Conn }

// Read reads. That the other side has ended it, or is not there any more, is an error of kind
// ErrLost.
func (w way) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		err = cut(err)
	}
	return n, err
}

// cut says why a connection through the controller ended. The controller says so itself where it
// can: then these are its words.
func cut(err error) error {
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
