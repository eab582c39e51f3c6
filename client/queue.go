package client

import (
	"context"
	"net/http"
	"strconv"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// Queue returns the waiting requests that the caller may see, by source and position.
func (c *Client) Queue(ctx context.Context) ([]inventory.Queued, error) {
	var out struct {
		Queue []api.Waiter `json:"queue"`
	}
	if err := c.wire.do(ctx, http.MethodGet, "/v1/queue", nil, nil, &out); err != nil {
		return nil, err
	}
	all := make([]inventory.Queued, len(out.Queue))
	for i, w := range out.Queue {
		all[i] = w.Compute()
	}
	return all, nil
}

// Cancel removes a request from the queue: the caller's own, or another's if the caller may. The
// Who is ignored, as the controller knows the caller.
func (c *Client) Cancel(ctx context.Context, _ compute.Who, id int64) error {
	return c.wire.do(ctx, http.MethodDelete, "/v1/queue/"+strconv.FormatInt(id, 10), nil, nil, nil)
}
