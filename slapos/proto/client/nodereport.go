package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/nodereport"
)

// ReportNode reports a node's running programs to a master of ours. At another it is [ErrNotFound].
func (c *Client) ReportNode(ctx context.Context, n *nodereport.Report) error {
	body, err := json.Marshal(n)
	if err != nil {
		return proto.Unwritable("", "a node's report: %v", err)
	}
	_, err = c.do(
		ctx,
		call{
			op: nodereport.Method, method: http.MethodPost, url: c.base.JoinPath(nodereport.Method).String(),
			kind: "application/json", accept: "application/json", body: string(body),
		},
	)
	return err
}

// NodeReport is the last report of a computer's node on its running programs, with its time.
// [ErrNotFound]: there is none, or the master is not one of ours.
func (c *Client) NodeReport(ctx context.Context, computer string) (*nodereport.Report, time.Time, error) {
	u := c.base.JoinPath(nodereport.Method)
	u.RawQuery = url.Values{"computer_guid": {computer}}.Encode()
	body, err := c.do(ctx, call{op: nodereport.Method, method: http.MethodGet, url: u.String(), accept: "application/json"})
	if err != nil {
		return nil, time.Time{}, err
	}
	var told struct {
		At     time.Time       `json:"at"`
		Report json.RawMessage `json:"report"`
	}
	if err := json.Unmarshal(body, &told); err != nil {
		return nil, time.Time{}, proto.Malformed("", "not the JSON of what a node reported: %v", err)
	}
	n, err := nodereport.Parse(told.Report)
	return n, told.At, err
}
