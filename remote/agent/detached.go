package agent

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

var _ provider.DetachedRuns = (*Client)(nil)

// leave is the body of a cancel frame that leaves a held command to itself.
const leave = 1

var errClientGone = errors.New("who asked for it is not there any more")

const (
	holdKeep = 1 << iota
	holdAttach
	holdLook
	holdTake
	holdBegun
)

// appendHold writes h without its function. The grace goes in milliseconds, and the offsets go
// plus one, so that -1 is zero.
func appendHold(b []byte, h *compute.Hold) []byte {
	var flags uint64
	for i, has := range [...]bool{h.Keep, h.Attach, h.Look, h.Take, h.Begun != nil} {
		if has {
			flags |= 1 << i
		}
	}
	b = appendString(appendUint(b, flags), h.Run)
	b = appendUint(b, uint64(max(h.Grace, 0)/time.Millisecond))
	return appendUint(appendUint(b, uint64(max(h.Out, -1)+1)), uint64(max(h.Err, -1)+1))
}

// hold reads what appendHold wrote.
func (d *decoder) hold() *compute.Hold {
	flags := d.int(holdKeep | holdAttach | holdLook | holdTake | holdBegun)
	h := &compute.Hold{Keep: flags&holdKeep != 0, Attach: flags&holdAttach != 0, Look: flags&holdLook != 0, Take: flags&holdTake != 0}
	if flags&holdBegun != 0 {
		h.Begun = func() {} // the server has one of its own
	}
	h.Run = d.string()
	h.Grace = time.Duration(d.int(1<<31)) * time.Millisecond
	h.Out, h.Err = int64(d.int(1<<62))-1, int64(d.int(1<<62))-1
	return h
}

// prepareHold prepares a command that is to be held. Where no one holds commands it refuses it.
func (v *server) prepareHold(st *stream, cmd *compute.Command) error {
	h := cmd.Hold
	if h == nil {
		return nil
	}
	if _, ok := provider.As[provider.DetachedRuns](v.conn); !ok {
		if h.Keep || h.Attach {
			return errNotHeld
		}
		cmd.Hold = nil // it ends with the connection
		return nil
	}
	if h.Begun != nil {
		h.Begun = func() { v.s.post(kindReply, 0, st.id, appendString(nil, "")) }
	}
	return nil
}

var errNotHeld = &compute.Error{
	Op: "agent", Kind: compute.ErrInvalid, Err: errors.New("nobody there keeps a command when its caller has gone"),
}

// Held implements provider.DetachedRuns.
func (c *Client) Held(ctx context.Context) ([]provider.HeldRun, error) {
	reply, err := c.requestText(ctx, opHeld)
	if err != nil {
		return nil, err
	}
	d := &decoder{b: []byte(reply)}
	out := make([]provider.HeldRun, 0, min(d.int(maxControl), 64))
	for len(d.b) > 0 && !d.bad {
		r := provider.HeldRun{Run: d.string(), Started: time.UnixMilli(int64(d.int(1 << 62)))}
		flags := d.int(31)
		r.Keep, r.TTY, r.Stdin, r.Typed, r.Ended = flags&1 != 0, flags&2 != 0, flags&4 != 0, flags&8 != 0, flags&16 != 0
		r.Watchers = d.int(1 << 31)
		out = append(out, r)
	}
	if d.bad {
		return nil, protocolError("runs that are not well formed")
	}
	return out, nil
}

// listHeld answers a request for the list of kept runs.
func (v *server) listHeld(ctx context.Context, st *stream) error {
	h, ok := provider.As[provider.DetachedRuns](v.conn)
	if !ok {
		return errNotHeld
	}
	all, err := h.Held(ctx)
	if err != nil {
		return err
	}
	b := appendUint(nil, uint64(len(all)))
	for _, r := range all {
		if len(b) > maxControl-1024 {
			break // drop the oldest of very many
		}
		var flags uint64
		for i, has := range [...]bool{r.Keep, r.TTY, r.Stdin, r.Typed, r.Ended} {
			if has {
				flags |= 1 << i
			}
		}
		b = appendUint(appendString(b, r.Run), uint64(max(r.Started.UnixMilli(), 0)))
		b = appendUint(appendUint(b, flags), uint64(max(r.Watchers, 0)))
	}
	v.s.post(kindReply, 0, st.id, appendString(nil, string(b)))
	return nil
}
