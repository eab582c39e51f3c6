package agent

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

var _ provider.Workspacer = (*Client)(nil)

// conversation is a stream to a workspace. It exists before the other side has answered, so a
// refusal shows at its end.
type conversation struct{ netConn }

// Workspace implements provider.Workspacer. It returns at once.
func (c *Client) Workspace(ctx context.Context, token string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	st, err := c.open(appendString([]byte{opSpace}, token), func(*stream) {})
	if err != nil {
		return nil, err
	}
	return &conversation{netConn{c: c, st: st, network: "workspace", remote: token}}, nil
}

// Read reads the other side's words, and at the end why there are no more: io.EOF for a normal end.
func (n *conversation) Read(p []byte) (int, error) {
	k, err := n.netConn.Read(p)
	if err == io.EOF {
		select {
		case <-n.st.ended:
			if _, why := n.st.outcome(); why != nil {
				return k, why
			}
		default:
		}
	}
	return k, err
}

// workspace joins a stream to a conversation of the Conn behind this server.
func (v *server) workspace(ctx context.Context, st *stream, req *request) error {
	w, ok := provider.As[provider.Workspacer](v.conn)
	if !ok {
		return &compute.Error{Op: "agent", Kind: compute.ErrInvalid, Err: errors.New("this way into the computer keeps no workspaces")}
	}
	nc, err := w.Workspace(ctx, req.path)
	if err != nil {
		return err
	}
	return joinConversation(ctx, st, nc)
}

// joinConversation joins a stream and a conversation until either side has ended it, and returns
// the far side's reason. Unlike pipe it ends when the client has closed its side: that frees the
// workspace.
func joinConversation(ctx context.Context, st *stream, nc net.Conn) error {
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { _ = nc.Close() })()
	in, o := &st.in[0], &st.out[1]
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, err := in.WriteTo(nc)
		in.stop(err)
		_ = nc.Close()
	}()
	// copied by hand, so that an error of nc is told from one of o
	_, err := io.Copy(noReadFrom{o}, nc)
	in.stop(err)
	o.eof(io.ErrClosedPipe)
	<-sent
	var told *compute.Error
	if errors.As(err, &told) {
		return err
	}
	return nil
}

// noReadFrom hides all methods of a writer but Write.
type noReadFrom struct{ io.Writer }
