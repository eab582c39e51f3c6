package client

import (
	"context"
	"net/http"
	"strconv"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// Queue returns the requests that wait, as far as the caller sees them, by their sources and there
// in the order of their turns.
func (c *Client) Queue(ctx context.Context) ([]compute.Queued, error) {
	var out struct {
		Queue []api.Waiter `json:"queue"`
	}
	if err := c.wire.do(ctx, http.MethodGet, "/v1/queue", nil, nil, &out); err != nil {
		return nil, err
	}
	all := make([]compute.Queued, len(out.Queue))
	for i, w := range out.Queue {
		all[i] = w.Compute()
	}
	return all, nil
}

// Cancel takes a request out of the queue: the caller's own, or another's where he may do that. who
// is not asked for: the controller knows who calls.
func (c *Client) Cancel(ctx context.Context, _ compute.Who, id int64) error {
	return c.wire.do(ctx, http.MethodDelete, "/v1/queue/"+strconv.FormatInt(id, 10), nil, nil, nil)
}
