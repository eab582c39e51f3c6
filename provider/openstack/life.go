package openstack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"

	"github.com/hostler-project/hostler/compute"
)

// act sends a request about a server. It retries while the server is not scheduled yet, or is busy.
func (p *Provider) act(ctx context.Context, op string, id compute.ID, do func(context.Context, *gophercloud.ServiceClient) error) error {
	c, err := p.s.Compute(ctx)
	if err != nil {
		return err
	}
	for end := time.Now().Add(time.Minute); ; {
		err := Classify(op, id, do(ctx, c))
		if r := ReasonOf(err); r != Missing || time.Now().After(end) {
			return err
		}
		s, ferr := p.inv.fresh(ctx, id)
		if ferr != nil {
			return ferr
		}
		if s.Status != "BUILD" {
			return err
		}
		if err := sleep(ctx, p.o.Poll); err != nil {
			return err
		}
	}
}

// until waits until done returns true for a server.
func (p *Provider) until(ctx context.Context, op string, id compute.ID, done func(servers.Server) bool) error {
	then := time.Now()
	for {
		v, err := p.inv.servers.since(ctx, then)
		if err != nil {
			return Classify(op, id, err)
		}
		s, ok := v.one(id)
		switch {
		case !ok:
			return &compute.Error{Op: "openstack." + op, ID: id, Kind: compute.ErrNotFound, Err: errors.New("the server is gone")}
		case done(s):
			return nil
		case s.Status == "ERROR" && s.TaskState == "":
			return p.health.broken(ctx, s, id)
		}
		if err := sleep(ctx, p.inv.tick()); err != nil {
			return Classify(op, id, err)
		}
		then = time.Now().Add(-p.inv.tick() / 2)
	}
}

// Stop shuts a server down or suspends it. The cloud decides how long the shutdown may take. Stop
// waits for a minute and grace.
func (p *Provider) Stop(ctx context.Context, id compute.ID, grace time.Duration) error {
	return Classify("Stop", id, p.stop(ctx, id, grace, p.o.Stop == "suspend"))
}

// stop asks for the stop unless one is under way, and waits for it.
func (p *Provider) stop(ctx context.Context, id compute.ID, grace time.Duration, suspend bool) error {
	s, err := p.inv.fresh(ctx, id)
	if err != nil {
		return err
	}
	stopped := func(s servers.Server) bool {
		return s.TaskState == "" &&
			(s.Status == "SHUTOFF" || s.Status == "SUSPENDED" || s.Status == "SHELVED" ||
				s.Status == "SHELVED_OFFLOADED" || s.Status == "PAUSED")
	}
	if stopped(s) {
		return nil
	}
	if s.TaskState != "powering-off" && s.TaskState != "suspending" {
		err := p.act(ctx, "Stop", id, func(ctx context.Context, c *gophercloud.ServiceClient) error {
			if suspend {
				return servers.Suspend(ctx, c, s.ID).ExtractErr()
			}
			return servers.Stop(ctx, c, s.ID).ExtractErr()
		})
		if err != nil && ReasonOf(err) != Conflicting {
			return err
		}
		if err != nil { // another process was faster, or it cannot be stopped now
			if s, ferr := p.inv.fresh(ctx, id); ferr != nil || !stopped(s) && s.TaskState == "" {
				return err
			}
		}
	}
	limit, cancel := context.WithTimeout(ctx, grace+time.Minute)
	defer cancel()
	err = p.until(limit, "Stop", id, stopped)
	if ctx.Err() == nil && limit.Err() != nil {
		return &compute.Error{
			Op: "openstack.Stop", ID: id, Kind: compute.ErrTimeout,
			Err: fmt.Errorf("it still runs %s after it was asked to stop", grace+time.Minute),
		}
	}
	return err
}

// Start starts a stopped or suspended server. It is no error if the server runs.
func (p *Provider) Start(ctx context.Context, id compute.ID) error {
	s, err := p.inv.fresh(ctx, id)
	if err != nil {
		return err
	}
	var do func(context.Context, *gophercloud.ServiceClient) error
	switch s.Status {
	case "SHUTOFF":
		do = func(ctx context.Context, c *gophercloud.ServiceClient) error {
			return servers.Start(ctx, c, s.ID).ExtractErr()
		}
	case "SUSPENDED":
		do = func(ctx context.Context, c *gophercloud.ServiceClient) error {
			return servers.Resume(ctx, c, s.ID).ExtractErr()
		}
	case "PAUSED":
		do = func(ctx context.Context, c *gophercloud.ServiceClient) error {
			return servers.Unpause(ctx, c, s.ID).ExtractErr()
		}
	case "SHELVED", "SHELVED_OFFLOADED":
		do = func(ctx context.Context, c *gophercloud.ServiceClient) error {
			return servers.Unshelve(ctx, c, s.ID, servers.UnshelveOpts{}).ExtractErr()
		}
	case "ACTIVE", "BUILD", "REBOOT", "HARD_REBOOT", "REBUILD":
		if s.TaskState != "powering-off" && s.TaskState != "suspending" {
			return nil
		}
		// it may not stop after all
		if err := p.until(ctx, "Start", id, func(s servers.Server) bool { return s.Status != "ACTIVE" || s.TaskState == "" }); err != nil {
			return err
		}
		return p.Start(ctx, id)
	case "ERROR":
		return p.health.broken(ctx, s, id)
	default:
		return &compute.Error{
			Op: "openstack.Start", ID: id, Kind: compute.ErrConflict,
			Err: fmt.Errorf("a server that is %s cannot be started", s.Status),
		}
	}
	if s.TaskState == "powering-on" || s.TaskState == "resuming" {
		return nil
	}
	p.seen.forget(id)
	err = p.act(ctx, "Start", id, do)
	if err != nil && ReasonOf(err) == Conflicting {
		if s, ferr := p.inv.fresh(ctx, id); ferr == nil &&
			(s.Status == "ACTIVE" || s.TaskState == "powering-on" || s.TaskState == "resuming") {
			return nil // another process was faster
		}
	}
	p.inv.servers.drop()
	return err
}

// Clean rebuilds a server on a new disk of its image. Its name, addresses and size stay. A server
// that was off, as its user may turn it off from inside, runs afterwards.
func (p *Provider) Clean(ctx context.Context, id compute.ID) (string, error) {
	s, err := p.inv.fresh(ctx, id)
	if err != nil {
		return "", err
	}
	image, _ := s.Image["id"].(string)
	if image == "" {
		return "", &compute.Error{
			Op: "openstack.Clean", ID: id, Kind: compute.ErrInvalid,
			Err:  errors.New("a server on a volume cannot be rebuilt in place"),
			Hint: "say reuse = no: then it is discarded, and a new one made",
		}
	}
	if s.TaskState == "" || s.Status != "REBUILD" {
		err = p.act(ctx, "Clean", id, func(ctx context.Context, c *gophercloud.ServiceClient) error {
			_, err := servers.Rebuild(ctx, c, s.ID, servers.RebuildOpts{ImageRef: image}).Extract()
			return err
		})
		if err != nil {
			return "", err
		}
	}
	off := s.Status == "SHUTOFF" // then the cloud turns it off again after the rebuild
	if err := p.until(ctx, "Clean", id, func(now servers.Server) bool {
		s = now
		return s.TaskState == "" && (s.Status == "SHUTOFF" || s.Status == "ACTIVE" && !off)
	}); err != nil {
		return "", err
	}
	if s.Status == "SHUTOFF" {
		if err := p.Start(ctx, id); err != nil {
			return "", err
		}
		if err := p.until(ctx, "Clean", id, func(s servers.Server) bool { return s.TaskState == "" && s.Status == "ACTIVE" }); err != nil {
			return "", err
		}
	}
	p.seen.forget(id)
	return "rebuilt by the cloud on a new disk of image " + s.Metadata[keyImage], nil
}

// Check returns nil if a server runs, as far as the cloud knows.
func (p *Provider) Check(ctx context.Context, id compute.ID) error {
	s, err := p.inv.find(ctx, "Check", id)
	if err != nil {
		return err
	}
	return p.health.standing(ctx, s, id)
}

// Console returns the output of a server's console. "": nothing yet.
func (p *Provider) Console(ctx context.Context, id compute.ID) (string, error) {
	s, err := p.inv.find(ctx, "Console", id)
	if err != nil {
		return "", err
	}
	log, err := p.health.console(ctx, s, 0)
	return log, Classify("Console", id, err)
}
