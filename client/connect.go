package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/coder/websocket"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

// subprotocol is the protocol of the WebSocket into an instance.
const subprotocol = "hostler-agent"

// Connect opens a connection into an instance under who's lease, through the controller. ctx only
// bounds the opening. The connection ends with the lease.
func (c *Client) Connect(ctx context.Context, who compute.Who, name compute.ID) (compute.Conn, error) {
	r, err := c.wire.request(ctx, http.MethodGet, "/v1/instances/"+url.PathEscape(string(name))+"/connect", onBehalf(who), nil)
	if err != nil {
		return nil, err
	}
	// the context of the connection; ctx only bounds its opening
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	socket, answer, err := websocket.Dial(life, r.URL.String(), &websocket.DialOptions{
		HTTPClient: c.wire.http, HTTPHeader: r.Header, Subprotocols: []string{subprotocol}, CompressionMode: websocket.CompressionDisabled,
	})
	if !stop() && err == nil {
		_ = socket.CloseNow()
		err = context.Cause(ctx)
	}
	if err != nil {
		end()
		if answer != nil && answer.Body != nil && answer.StatusCode != http.StatusSwitchingProtocols {
			return nil, refusal(answer)
		}
		return nil, c.wire.unreachable(ctx, err)
	}
	socket.SetReadLimit(-1)
	return &conn{Client: agent.New(errorConn{websocket.NetConn(life, socket, websocket.MessageBinary)}), end: end}, nil
}

// conn is a connection through the controller.
type conn struct {
	*agent.Client
	end context.CancelFunc
}

// Close ends the connection and everything that runs over it.
func (c *conn) Close() error {
	err := c.Client.Close()
	c.end()
	return err
}

// Unwrap returns the agent's own connection.
func (c *conn) Unwrap() compute.Conn { return c.Client }
