package container

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// Connect starts our program inside of a container and returns a connection to it. It starts a
// container that was stopped with its engine.
func (p *Provider) Connect(ctx context.Context, id compute.ID) (compute.Conn, error) {
	c, err := p.mine(ctx, id)
	if err != nil {
		return nil, p.fault("Connect", id, err)
	}
	switch status := c.State.Status; {
	case c.State.Paused:
		err = &compute.Error{
			Kind: compute.ErrNotReady, Err: errors.New("it is paused"),
			Hint: "somebody did that by hand: `docker unpause` ends it",
		}
	case c.State.Running:
	case status == "exited", status == "stopped":
		p.log.Warn("starting a container that had stopped", "instance", id, "code", c.State.ExitCode, "oom", c.State.OOMKilled)
		if err = p.maker.start(ctx, c); err == nil {
			c, err = p.mine(ctx, id)
		}
	case status == "removing", status == "dead":
		err = errNone
	default: // created, restarting
		err = &compute.Error{Kind: compute.ErrNotReady, Err: fmt.Errorf("it is %s", status)}
	}
	if err != nil {
		return nil, p.fault("Connect", id, err)
	}
	conn, err := p.connect(ctx, id, c)
	if err != nil {
		return nil, p.fault("Connect", id, err)
	}
	return conn, nil
}

// connect is Connect for a running container.
func (p *Provider) connect(ctx context.Context, id compute.ID, c *inspection) (*conn, error) {
	out := &conn{p: p, id: id, container: c.ID, pid: c.State.Pid, program: shapeOf(c.Config.Labels).Agent, others: map[string]*entry{}}
	user, _, _ := strings.Cut(c.Config.User, ":")
	out.root = user == "" || user == "root" || user == "0"
	first, err := out.meet(ctx, p.o.User)
	// our program there is of another version: copy this one's in
	if errors.Is(err, compute.ErrConflict) {
		p.log.Info("copying the guest program into a container that was made by another version", "instance", id)
		out.program = append([]string{inside + fresh}, out.program[1:]...)
		if err = p.maker.copyAgent(ctx, c.ID, shapeOf(c.Config.Labels), out.program[0]); err == nil {
			first, err = out.meet(ctx, p.o.User)
		}
	}
	if err != nil {
		return nil, p.ended(ctx, id, err)
	}
	out.entry = first
	out.oom.Store(kills(out.pid))
	return out, nil
}

// meet starts our program as a user and waits for its first answer.
func (c *conn) meet(ctx context.Context, user string) (*entry, error) {
	e, err := c.enter(ctx, user)
	if err != nil {
		return nil, err
	}
	if err = e.Ping(ctx); err == nil {
		return e, nil
	}
	e.Close()
	if said := e.streams.said(); said != "" && errors.Is(err, compute.ErrLost) {
		err = errors.New(said)
		if strings.Contains(said, "no such option") { // an older version
			err = &compute.Error{Kind: compute.ErrConflict, Err: err}
		}
	}
	return nil, err
}

// ended finds out why a container cannot be entered: it may have ended by itself.
func (p *Provider) ended(ctx context.Context, id compute.ID, err error) error {
	c, e := p.mine(ctx, id)
	if e != nil || c.State.Running {
		return err
	}
	said, _ := p.Console(ctx, id)
	lines := strings.Split(strings.TrimSpace(said), "\n")
	text := ending(c)
	if last := oneLine([]byte(lines[len(lines)-1])); last != "" {
		text += ": " + last
	}
	hint, kind := kindOf(errors.New(text))
	return &compute.Error{Kind: kind, Err: errors.New(text), Hint: hint}
}

// Console returns the last of what the container's first processes printed.
func (p *Provider) Console(ctx context.Context, id compute.ID) (string, error) {
	c, err := p.mine(ctx, id)
	if err != nil {
		return "", p.fault("Console", id, err)
	}
	query := url.Values{"stdout": {"1"}, "stderr": {"1"}, "tail": {"1000"}}
	resp, err := p.eng.call(ctx, http.MethodGet, "/containers/"+c.ID+"/logs", query, nil, "")
	if err != nil {
		return "", p.fault("Console", id, err)
	}
	defer resp.Body.Close()
	text, err := unframe(resp.Body)
	if err != nil {
		return "", p.fault("Console", id, broken(ctx, err))
	}
	return text, nil
}
