package supervise

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// named is a request about programs by name.
type named struct {
	Names  []string `json:"names"`
	Signal string   `json:"signal,omitempty"` // "HUP"
}

// Client asks a supervisor at its socket. It has the methods of a Supervisor, and may be used from
// many goroutines.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient makes a client of the supervisor at a socket. It asks nothing yet.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true}}}
}

// Close lets its connections go.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// send asks, and returns a good answer's body.
func (c *Client) send(ctx context.Context, method, path string, in any) (io.ReadCloser, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://supervisor"+path, body)
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			err = fmt.Errorf("no supervisor answers at %s: %w", c.socket, op.Err)
		}
		return nil, &compute.Error{
			Op: "supervise", Kind: compute.ErrUnavailable, Err: err,
			Hint: "start it with: hostler slapos node supervisord",
		}
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	var p api.Problem
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&p); err != nil {
		return nil, &compute.Error{Op: "supervise", Kind: compute.ErrUnavailable, Err: fmt.Errorf("%s answers %s", c.socket, answer.Status)}
	}
	return nil, p.Err()
}

// call sends a request and decodes the answer into out; a nil out drops it.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	body, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, body)
		return err
	}
	return json.NewDecoder(body).Decode(out)
}

// Put is Supervisor.Put.
func (c *Client) Put(ctx context.Context, g Group) (changed bool, err error) {
	var out struct{ Changed bool }
	err = c.call(ctx, http.MethodPut, "/v1/groups/"+url.PathEscape(g.Name), g, &out)
	return out.Changed, err
}

// Remove is Supervisor.Remove.
func (c *Client) Remove(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/v1/groups/"+url.PathEscape(name), nil, nil)
}

// Start is Supervisor.Start.
func (c *Client) Start(ctx context.Context, names ...string) error {
	return c.call(ctx, http.MethodPost, "/v1/start", named{Names: names}, nil)
}

// Stop is Supervisor.Stop.
func (c *Client) Stop(ctx context.Context, names ...string) error {
	return c.call(ctx, http.MethodPost, "/v1/stop", named{Names: names}, nil)
}

// Restart is Supervisor.Restart.
func (c *Client) Restart(ctx context.Context, names ...string) error {
	return c.call(ctx, http.MethodPost, "/v1/restart", named{Names: names}, nil)
}

// Signal is Supervisor.Signal, of a signal's name without SIG.
func (c *Client) Signal(ctx context.Context, signal string, names ...string) error {
	return c.call(ctx, http.MethodPost, "/v1/signal", named{names, signal}, nil)
}

// Status is Supervisor.Status.
func (c *Client) Status(ctx context.Context, names ...string) (out []Status, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/programs?"+url.Values{"name": names}.Encode(), nil, &out)
	return out, err
}

// Groups is Supervisor.Groups.
func (c *Client) Groups(ctx context.Context) (out []string, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/groups", nil, &out)
	return out, err
}

// Tail writes the last bytes of a program's log. With follow it goes on with new output until ctx
// ends.
func (c *Client) Tail(ctx context.Context, w io.Writer, name string, bytes int, follow bool) error {
	q := url.Values{"name": {name}, "bytes": {fmt.Sprint(bytes)}}
	if follow {
		q.Set("follow", "1")
	}
	body, err := c.send(ctx, http.MethodGet, "/v1/tail?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(w, body)
	if follow && ctx.Err() != nil {
		return nil
	}
	return err
}
