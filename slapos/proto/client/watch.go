package client

import (
	"context"
	"strconv"
	"time"
)

// watchTimeout is longer than a master of ours lets a question wait.
const watchTimeout = 100 * time.Second

// Watch returns when a computer's wishes have changed after a revision, with the revision for the
// next call. After a while without change it returns the same one. 0 is answered at once. Only
// masters of ours have it; of others it fails with [ErrNotFound].
func (c *Client) Watch(ctx context.Context, computer string, after int64) (int64, error) {
	const endpoint = "hostler.watch.v0.compute_node"
	patient := &Client{http: c.http, base: c.base, agent: c.agent, timeout: watchTimeout}
	body, err := patient.get(ctx, endpoint, fields("computer_guid", computer, "after", strconv.FormatInt(after, 10)))
	if err != nil || len(body) == 0 {
		return after, err
	}
	var answer struct{ Revision int64 }
	if err := c.readJSON(endpoint, body, &answer); err != nil {
		return after, err
	}
	return answer.Revision, nil
}
