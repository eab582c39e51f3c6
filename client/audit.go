package client

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hostler-project/hostler/api"
)

// AuditQuery selects entries of the audit log; zero fields select all.
type AuditQuery struct {
	Who    string
	Act    string    // an operation of the API
	Since  time.Time // only newer ones
	Before int64     // only those with a smaller id
	Limit  int       // 0: 100
}

// Audit returns entries of the audit log, the newest first.
func (c *Client) Audit(ctx context.Context, q AuditQuery) ([]api.Act, error) {
	query := url.Values{}
	for key, value := range map[string]string{"who": q.Who, "act": q.Act} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if !q.Since.IsZero() {
		query.Set("since", q.Since.UTC().Format(time.RFC3339Nano))
	}
	most := cmp.Or(q.Limit, 100)
	var all []api.Act
	for before := q.Before; ; {
		query.Set("limit", strconv.Itoa(most-len(all)))
		if before > 0 {
			query.Set("before", strconv.FormatInt(before, 10))
		}
		var out struct {
			Acts []api.Act `json:"acts"`
			Next int64     `json:"next"`
		}
		if err := c.wire.do(ctx, http.MethodGet, "/v1/audit", query, nil, &out); err != nil {
			return nil, err
		}
		all = append(all, out.Acts...)
		if before = out.Next; before == 0 || len(all) >= most {
			return all, nil
		}
	}
}
