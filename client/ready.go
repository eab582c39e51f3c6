package client

import (
	"context"
	"net/http"
)

// Ready reports whether the controller can serve requests now: whether it reaches its state. The
// error says that it cannot.
func (c *Client) Ready(ctx context.Context) error {
	return c.wire.do(ctx, http.MethodGet, "/readyz", nil, nil, nil)
}
