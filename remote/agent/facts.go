package agent

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

var _ provider.FactReader = (*Client)(nil)

// Facts and usage go as pairs of words, in a reply. Either side may know more words than the other:
// unknown ones are ignored.
const toolPrefix = "tool:"

// maxTools is how many tools a client accepts.
const maxTools = 1000

// Facts implements provider.FactReader. The error is ErrInvalid if the other side's Conn has no
// facts.
func (c *Client) Facts(ctx context.Context) (compute.Facts, error) {
	var f compute.Facts
	err := c.requestPairs(ctx, opFacts, func(k, v string) {
		switch k {
		case "os":
			f.OS = v
		case "arch":
			f.Arch = v
		case "kernel":
			f.Kernel = v
		case "system":
			f.System = v
		case "hostname":
			f.Hostname = v
		case "cores":
			f.Cores = int(number(v))
		case "memory":
			f.Memory = number(v)
		case "disk":
			f.Disk = number(v)
		}
		if name, ok := strings.CutPrefix(k, toolPrefix); ok && len(f.Tools) < maxTools {
			if f.Tools == nil {
				f.Tools = make(map[string]string)
			}
			f.Tools[name] = v
		}
	})
	if err != nil {
		return compute.Facts{}, err
	}
	return f, nil
}

// Usage implements provider.FactReader, as Facts does.
func (c *Client) Usage(ctx context.Context) (compute.Usage, error) {
	var u compute.Usage
	err := c.requestPairs(ctx, opUsage, func(k, v string) {
		switch k {
		case "cpu":
			u.CPU = time.Duration(number(v))
		case "memory":
			u.Memory = number(v)
		case "disk":
			u.Disk = number(v)
		case "processes":
			u.Processes = int(number(v))
		case "oom_kills":
			u.OOMKills = int(number(v))
		}
	})
	if err != nil {
		return compute.Usage{}, err
	}
	return u, nil
}

// Ping checks that the other side answers. It says nothing else of the computer.
func (c *Client) Ping(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	st, err := c.open([]byte{opPing}, nil)
	if err != nil {
		return err
	}
	if err := st.waitEnd(ctx, false); err != nil {
		return err
	}
	_, err = st.outcome()
	return err
}

// number reads a number. Nonsense from a hostile peer is 0, and no number is negative.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 63)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// requestText sends a request and returns the text of its reply.
func (c *Client) requestText(ctx context.Context, op byte) (string, error) {
	st, reply, err := c.await(ctx, []byte{op}, nil)
	if err != nil {
		return "", err
	}
	if err := st.waitEnd(ctx, false); err != nil {
		return "", err
	}
	_, err = st.outcome()
	return reply, err
}

// requestPairs sends a request for pairs and passes them to take.
func (c *Client) requestPairs(ctx context.Context, op byte, take func(k, v string)) error {
	reply, err := c.requestText(ctx, op)
	if err != nil {
		return err
	}
	for d := (&decoder{b: []byte(reply)}); len(d.b) > 0; {
		k, v := d.string(), d.string()
		if d.bad {
			return protocolError("facts that are not well formed")
		}
		take(k, v)
	}
	return nil
}

// pairs encodes pairs of words.
type pairs []byte

func (p *pairs) text(k, v string) {
	if v != "" {
		*p = appendString(appendString(*p, k), v)
	}
}

func (p *pairs) number(k string, n int64) {
	if n != 0 {
		p.text(k, strconv.FormatInt(n, 10))
	}
}

// sendFacts answers a request for facts or usage.
func (v *server) sendFacts(ctx context.Context, st *stream, op int) error {
	i, ok := provider.As[provider.FactReader](v.conn)
	if !ok {
		return &compute.Error{Op: "agent", Kind: compute.ErrInvalid, Err: errors.New("this way into the computer cannot tell about it")}
	}
	var p pairs
	if op == opUsage {
		u, err := i.Usage(ctx)
		if err != nil {
			return err
		}
		p.number("cpu", int64(u.CPU))
		p.number("memory", u.Memory)
		p.number("disk", u.Disk)
		p.number("processes", int64(u.Processes))
		p.number("oom_kills", int64(u.OOMKills))
	} else {
		f, err := i.Facts(ctx)
		if err != nil {
			return err
		}
		for _, w := range [...][2]string{
			{"os", f.OS}, {"arch", f.Arch}, {"kernel", f.Kernel}, {"system", f.System}, {"hostname", f.Hostname},
		} {
			p.text(w[0], w[1])
		}
		p.number("cores", int64(f.Cores))
		p.number("memory", f.Memory)
		p.number("disk", f.Disk)
		for name, path := range f.Tools {
			p.text(toolPrefix+name, path)
		}
	}
	if len(p) > maxControl-16 {
		return &compute.Error{Op: "agent", Kind: compute.ErrFailed, Err: errors.New("there is too much to tell")}
	}
	v.s.post(kindReply, 0, st.id, appendString(nil, string(p)))
	return nil
}
