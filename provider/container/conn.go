package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/remote/agent"
)

// conn is a way into a container: our program, running there as the user that commands run as, and
// one more for each other user that a command asked for.
type conn struct {
	*entry
	p         *Provider
	id        compute.ID
	container string
	pid       int // of its first process, in this machine's numbers
	program   []string
	root      bool         // the first entry's user is root, and can become others by itself
	oom       atomic.Int64 // the last count of kills for lack of memory

	mu     sync.Mutex
	others map[string]*entry
	closed bool
}

// entry is one connection to our program, as one user.
type entry struct {
	*agent.Client
	streams *streams
}

var (
	_ compute.Conn        = (*conn)(nil)
	_ provider.Dialer     = (*conn)(nil)
	_ provider.Listener   = (*conn)(nil)
	_ provider.FactReader = (*conn)(nil)
)

// enter starts our program in the container as a user; "": the container's own.
func (c *conn) enter(ctx context.Context, user string) (*entry, error) {
	words := append([]string{}, c.program...)
	words = append(words, "serve")
	for _, u := range c.p.plan.ulimits {
		// older engines set this wrong now and then
		if u.Name == "nofile" && u.Soft >= 0 && u.Soft < u.Hard {
			words = append(words, fmt.Sprintf("--files=%d:%d", u.Soft, u.Hard))
		}
	}
	// the environment is the image's and the source's
	words = append(words, "--keep-env", "--daemon="+c.container, "stdio")
	request := struct {
		AttachStdin, AttachStdout, AttachStderr bool
		User                                    string `json:",omitempty"`
		Cmd                                     []string
	}{true, true, true, user, words}
	var made struct{ ID string }
	if err := c.p.eng.do(ctx, http.MethodPost, "/containers/"+c.container+"/exec", nil, request, &made); err != nil {
		return nil, err
	}
	s, err := c.p.eng.attach(ctx, made.ID)
	if err != nil {
		return nil, err
	}
	return &entry{agent.New(s), s}, nil
}

// as returns the connection for a user, opened at the first call.
func (c *conn) as(ctx context.Context, user string) (*entry, error) {
	if user == "" || user == c.p.o.User || c.root {
		return c.entry, nil
	}
	c.mu.Lock()
	e := c.others[user]
	c.mu.Unlock()
	if e != nil {
		return e, nil
	}
	e, err := c.meet(ctx, user)
	if err != nil {
		return nil, &compute.Error{Op: "container.Run", ID: c.id, Kind: compute.ErrCannotStart, Err: err}
	}
	c.mu.Lock()
	other, keep := c.others[user], !c.closed
	if keep && other == nil {
		c.others[user] = e
	}
	c.mu.Unlock()
	switch {
	case !keep:
		e.Close()
	case other != nil: // another call was faster
		e.Close()
		return other, nil
	}
	return e, nil
}

// Run runs a command. It asks the engine why a command was ended from outside.
func (c *conn) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	e, err := c.as(ctx, cmd.User)
	if err != nil {
		return compute.Exit{}, err
	}
	if cmd.Hold != nil && e != c.entry { // a later client would not look for it there
		if cmd.Hold.Keep {
			return compute.Exit{}, &compute.Error{
				Op: "container.Run", ID: c.id, Kind: compute.ErrInvalid,
				Err: errors.New("a command of another user than the container's is not kept when its caller has gone"),
			}
		}
		same := *cmd
		same.Hold = nil
		cmd = &same
	}
	if cmd.User != "" && !c.root {
		same := *cmd
		same.User = ""
		cmd = &same
	}
	exit, err := e.Run(ctx, cmd)
	switch {
	case err != nil:
		err = c.why(e, err)
	case exit != compute.Exit{} && exit.Reason == "" && c.pid > 0 && c.starved():
		exit.Reason = reason
	}
	return exit, err
}

// Put unpacks a tar stream into a directory.
func (c *conn) Put(ctx context.Context, dir string, tar io.Reader) error {
	return c.why(c.entry, c.entry.Put(ctx, dir, tar))
}

// Get writes a tree as a tar stream.
func (c *conn) Get(ctx context.Context, path string, w io.Writer) error {
	return c.why(c.entry, c.entry.Get(ctx, path, w))
}

// why adds the known reason to the error of a lost connection.
func (c *conn) why(e *entry, err error) error {
	if err == nil || !errors.Is(err, compute.ErrLost) {
		return err
	}
	text := e.streams.said()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	switch in, look := c.p.mine(ctx, c.id); {
	case errors.Is(look, errNone), errors.Is(look, errForeign):
		text = "the container was removed. " + text
	case look != nil:
		text = "the engine does not answer. " + text
	case in.ID != c.container:
		text = "another container is in its place. " + text
	case !in.State.Running:
		text = ending(in) + ". " + text
	}
	if text = strings.TrimSuffix(strings.TrimSpace(text), "."); text == "" {
		return err
	}
	return &compute.Error{Op: "container.Run", ID: c.id, Kind: compute.ErrLost, Err: errors.New(text)}
}

// Close ends all connections, and the commands that run through them.
func (c *conn) Close() error {
	c.mu.Lock()
	all := []*entry{c.entry}
	for _, e := range c.others {
		all = append(all, e)
	}
	c.others, c.closed = map[string]*entry{}, true
	c.mu.Unlock()
	var errs []error
	for _, e := range all {
		errs = append(errs, e.Close())
	}
	return errors.Join(errs...)
}
