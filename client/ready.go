package client

import (
	"context"
	"net/http"
)

// Ready returns nil if the controller can serve requests now, and reaches its state.
func (c *Client) Ready(ctx context.Context) error {
	return c.wire.do(ctx, http.MethodGet, "/readyz", nil, nil, nil)
}
