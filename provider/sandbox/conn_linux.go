package sandbox

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

// way is a connection to a sandbox's agent, which knows what the image and the source say of commands.
type way struct {
	*agent.Client
	p     *Provider
	id    compute.ID
	user  string   // for commands that name none; "": root
	entry []string // goes before every command
	cmd   []string // in place of none; empty: the shell
}

func (p *Provider) way(id compute.ID, own owner, c *agent.Client) (compute.Conn, error) {
	w := &way{Client: c, p: p, id: id, user: p.o.User}
	if own.Image == hostImage {
		return w, nil
	}
	b, err := p.readBase(id)
	if err != nil {
		_ = c.Close()
		return nil, fault("Connect", id, err)
	}
	if w.user == "" {
		w.user = b.User
	}
	if p.o.Entry {
		w.entry, w.cmd = b.Entry, b.Cmd
	}
	return w, nil
}

// Unwrap gives the agent's own connection.
func (w *way) Unwrap() compute.Conn { return w.Client }

// Run runs a command as whom the source says. When it was killed because the sandbox had no memory left, the exit says so.
func (w *way) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	c := *cmd
	if c.User == "" {
		c.User = w.user
	}
	if len(c.Args) == 0 {
		c.Args = w.cmd
	}
	if len(w.entry) > 0 {
		c.Args = append(w.entry[:len(w.entry):len(w.entry)], c.Args...)
	}
	before := w.p.oomKills(w.id)
	exit, err := w.Client.Run(ctx, &c)
	if err == nil && exit.Status() == 128+9 && exit.Reason == "" && w.p.oomKills(w.id) > before {
		exit.Reason = "out of memory"
	}
	if errors.Is(err, compute.ErrLost) && ctx.Err() == nil && w.p.oomKills(w.id) > before {
		err = &compute.Error{Op: "sandbox.Run", ID: w.id, Kind: compute.ErrLost, Err: errors.New("the sandbox was ended, because its memory was used up"),
			Hint: "give it more: memory = SIZE in its source, or --memory"}
	}
	return exit, err
}

// oomKills counts what was killed in a sandbox for want of memory.
func (p *Provider) oomKills(id compute.ID) int {
	tree, err := p.groups()
	if err != nil {
		return 0
	}
	g, err := tree.Open(label(string(id)))
	if err != nil {
		return 0
	}
	defer g.Close()
	n, _ := g.OOMKills() // where nobody counts there is nothing to tell
	return n
}
