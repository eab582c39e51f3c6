package provider

import (
	"context"
	"net"

	"github.com/hostler-project/hostler/compute"
)

// Dialer is a Conn that can open network connections from the computer: forwarding of local ports
// and sockets.
type Dialer interface {
	// Dial connects, as seen from the computer. Networks: "tcp" with HOST:PORT, "unix" with a path.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// Listener is a Conn that can listen on the computer: forwarding of remote ports and sockets.
type Listener interface {
	// Listen announces on the computer. The same networks as Dial. Closing the listener or the Conn
	// ends it.
	Listen(ctx context.Context, network, address string) (net.Listener, error)
}

// Simulated reports whether a connection is to a simulated computer: it has the method Simulated,
// which returns true. Its commands are answered, and do nothing.
func Simulated(conn compute.Conn) bool {
	v, ok := As[interface{ Simulated() bool }](conn)
	return ok && v.Simulated()
}

// Workspacer is a Conn with a far side that keeps workspaces: copies of working trees.
type Workspacer interface {
	// Workspace begins a conversation about a workspace; package workspace defines its messages.
	// Writes go out at once, without waiting for an answer. If the other side keeps no workspaces,
	// reading returns ErrInvalid. The caller chooses a unique token, by which commands name the
	// workspace (Command.Workspace). The workspace is the caller's alone until the conversation is
	// closed or contact is lost.
	Workspace(ctx context.Context, token string) (net.Conn, error)
}

// FactReader is a Conn that can describe its computer.
type FactReader interface {
	// Facts returns what the computer is.
	Facts(ctx context.Context) (compute.Facts, error)
	// Usage returns what it uses now.
	Usage(ctx context.Context) (compute.Usage, error)
}
