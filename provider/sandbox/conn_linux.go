package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

// way is a connection to a sandbox's agent. It applies what the image and the source say of
// commands.
type way struct {
	*agent.Client
	p     *Provider
	id    compute.ID
	user  string   // for commands that name none; "": root
	entry []string // goes before every command
	cmd   []string // in place of an empty command; empty: the shell
	host  bool     // its root is the host's

	starvedBefore atomic.Int64 // the count of processes killed for lack of memory, as last read
}

// way makes a connection that owns c, and closes c if it fails. For a sandbox on the host's root
// no image is read.
func (p *Provider) way(id compute.ID, own instanceRecord, c *agent.Client) (compute.Conn, error) {
	w := &way{Client: c, p: p, id: id, user: p.o.User}
	if _, w.host = HostRoot(own.Image); w.host {
		return w, nil
	}
	b, err := p.images.read(id)
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

// Unwrap returns the agent's own connection.
func (w *way) Unwrap() compute.Conn { return w.Client }

// Run runs a command as the user that the source names. The exit says so when the command was
// killed because the sandbox had no memory left.
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
	exit, err := w.Client.Run(ctx, &c)
	if err == nil && exit.Status() == 128+9 && exit.Reason == "" && w.starved() {
		exit.Reason = "out of memory"
	}
	if errors.Is(err, compute.ErrLost) && ctx.Err() == nil {
		err = w.lost(err)
	}
	if errors.Is(err, compute.ErrLost) && ctx.Err() == nil && w.starved() {
		err = &compute.Error{Op: "sandbox.Run", ID: w.id, Kind: compute.ErrLost,
			Err:  errors.New("the sandbox was ended, because its memory was used up"),
			Hint: "give it more: memory = SIZE in its source, or --memory"}
	}
	if e := (*compute.Error)(nil); errors.Is(err, compute.ErrNotExecutable) && c.Dir != "" && c.User != "" &&
		errors.As(err, &e) && e.Hint == "" {
		e.Hint = fmt.Sprintf("%s has to be one that the user %s may enter: --cwd DIR starts elsewhere", c.Dir, c.User)
	}
	if e := (*compute.Error)(nil); errors.Is(err, compute.ErrCannotStart) && errors.As(err, &e) &&
		strings.HasSuffix(err.Error(), unix.EAGAIN.Error()) {
		e.Hint = "the sandbox has all the processes that it may have: end some, or give it more with pids = NUMBER in the section [sandbox] of its source"
	}
	return exit, w.unseen(c.Dir, err)
}

// lost says why a sandbox does not answer any more.
func (w *way) lost(err error) error {
	e := &compute.Error{Op: "sandbox.Run", ID: w.id, Kind: compute.ErrLost, Err: err}
	l, _, lerr := w.p.readLife(w.id)
	if errors.Is(lerr, fs.ErrNotExist) {
		e.Err = errors.New("the sandbox was discarded meanwhile")
		return e
	}
	for range 50 { // its connections end before it does
		if ok, aerr := l.alive(); lerr != nil || aerr != nil {
			return e
		} else if !ok {
			e.Err, e.Hint = errors.New("the sandbox has ended: its first process was killed"), "release it and take another"
			return e
		}
		time.Sleep(10 * time.Millisecond)
	}
	return e
}

// Facts returns the agent's facts of the sandbox, with the limits that are set from outside.
func (w *way) Facts(ctx context.Context) (compute.Facts, error) {
	f, err := w.Client.Facts(ctx)
	if err != nil {
		return f, err
	}
	own, err := w.p.homes.Read(w.id)
	if err != nil {
		return f, fault("Facts", w.id, err)
	}
	l := w.p.groups.limits(own)
	if l.cores > 0 {
		f.Cores = min(f.Cores, max(1, int(l.cores)))
	}
	f.Memory = min(f.Memory, l.memory)
	return f, nil
}

// Usage returns the sandbox's usage: what its control group counts, and the rest as the agent sees
// it.
func (w *way) Usage(ctx context.Context) (compute.Usage, error) {
	u, err := w.Client.Usage(ctx)
	if err != nil {
		return u, err
	}
	tree, err := w.p.groups.find()
	if err != nil {
		return u, nil
	}
	g, err := tree.Open(w.p.groupOf(w.id))
	if err != nil {
		return u, nil // no control group counts
	}
	defer g.Close()
	counted, err := g.Usage()
	if err != nil {
		return u, fault("Usage", w.id, err)
	}
	u.CPU = counted.CPU // the group counts threads as processes
	if counted.Memory > 0 {
		u.Memory = counted.Memory
	}
	u.OOMKills, _ = g.OOMKills() // zero where the kernel does not count them
	return u, nil
}

// unseen explains why a command could not start in a directory that exists for its user: the
// sandbox does not show all of the host.
func (w *way) unseen(dir string, err error) error {
	if !w.host || !filepath.IsAbs(dir) || !errors.Is(err, compute.ErrCannotStart) || !strings.Contains(err.Error(), "chdir ") {
		return err
	}
	if fi, serr := os.Stat(dir); serr != nil || !fi.IsDir() {
		return err
	}
	e := &compute.Error{ID: w.id, Kind: compute.ErrCannotStart, Err: fmt.Errorf("the sandbox does not show %s", dir),
		Hint: fmt.Sprintf("start elsewhere with --cwd DIR, or share it: mounts = %s, in the section [sandbox] of its source", dir)}
	for _, empty := range fresh {
		if below(filepath.Clean(dir), empty) {
			e.Err = fmt.Errorf("the sandbox does not show %s: %s begins empty there", dir, empty)
		}
	}
	return e
}

// starved reports whether a process in the sandbox was killed for lack of memory since this
// connection last asked, or at all at the first time. It is asked only after a kill: a count before
// each command would slow down every command.
func (w *way) starved() bool {
	n := int64(w.p.groups.oomKills(w.p.groupOf(w.id)))
	return n > w.starvedBefore.Swap(n)
}
