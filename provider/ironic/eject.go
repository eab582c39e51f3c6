package ironic

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Eject implements metal.Commander. A hot standby is undeployed, and any other node goes through
// manage and provide. Both clean the node.
func (c *Commander) Eject(ctx context.Context, node string) error {
	if err := c.Resume(ctx); err != nil {
		return err
	}
	defer c.hold(node)()
	r, err := c.a.node(ctx, "Eject", node)
	if err != nil {
		return err
	}
	m := r.Extra.Mark
	old := r.Driver.CacheStatus != "" || r.Driver.CacheImage != ""
	state := r.state()
	switch why := r.blockedReason(); {
	case why != "":
		return conflict("Eject", r.label(), "%s", why)
	case m != nil && m.Instance != "" && r.Instance != "":
		return conflict("Eject", r.label(), "it is instance %s", m.Instance)
	case r.otherInstallation(c.o.Installation),
		m != nil && m.Way != "" && m.Installation != c.o.Installation && (r.Instance != "" || state != stateAvailable):
		return conflict("Eject", r.label(), "another installation of hostler has it")
	case state == stateAvailable && heldByCache(c.o.Installation, r) && (m == nil || m.Way == ""):
		return c.letGo(ctx, r, "")
	case r.wipeInterrupted(c.o.Installation):
		return c.wipe(ctx, r)
	case m == nil && !old || m != nil && m.Way == "" && !old:
		if state == stateAvailable || r.ending() {
			return nil
		}
		return conflict("Eject", r.label(), "there is no image of ours on it, and it is %s", state)
	case r.Instance != "" && !heldByCache(c.o.Installation, r):
		return conflict("Eject", r.label(), "it was claimed for instance %s meanwhile", r.Instance)
	case state == stateDeleting || r.ending() && (m == nil || m.State != caching):
		return nil // it is on its way
	case state == stateCleanFailed || state == stateManageable:
		// it was undeployed, or somebody has stopped that
		return c.wipe(ctx, r)
	case m != nil && (m.Way.standby() || m.Way == Prefetch && state != stateAvailable && state != stateManageable):
		return c.undeploy(ctx, r)
	case m != nil && m.State == caching && state == stateAvailable && r.Instance != "" && m.Way != Passthru:
		return c.letGo(ctx, r, "") // nothing was begun
	}
	return c.wipe(ctx, r)
}

// take claims a node for the cache, if it is not claimed. The scheduler or an instance may be
// faster.
func (c *Commander) take(ctx context.Context, r *record) error {
	if r.Instance != "" {
		return nil
	}
	return c.a.patch(ctx, "Eject", r.UUID, []operation{{Op: "add", Path: "/instance_uuid", Value: standbyClaim(c.o.Installation, r.UUID)}})
}

// undeploy undeploys a hot standby.
func (c *Commander) undeploy(ctx context.Context, r *record) error {
	switch {
	case r.state() == stateAvailable: // it was wiped before, or nothing was begun
		return c.letGo(ctx, r, "")
	case r.deploying() && r.state() != stateWait && r.state() != stateDeployHold:
		return conflict("Eject", r.label(), "its image is being written just now")
	}
	if err := c.take(ctx, r); err != nil {
		return err
	}
	if m := r.Extra.Mark; m.Way == Allocate && m.State == cached {
		if err := c.takeBack(ctx, r); err != nil {
			return err
		}
	} else if m.State == failed { // else it would count as a node whose wiping failed
		next := *m
		next.State = ""
		if err := c.a.patch(ctx, "Eject", r.UUID, markOps(r, &next)); err != nil {
			return err
		}
	}
	return c.a.provision(ctx, "Eject", r.UUID, "deleted", nil)
}

// takeBack takes a standby whose claim is an allocation. Such a node belongs to the last writer of
// its mark. So takeBack waits for other writers and reads the mark again.
func (c *Commander) takeBack(ctx context.Context, r *record) error {
	next := *r.Extra.Mark
	next.State = ""
	if err := c.a.patchNow(ctx, "Eject", r.UUID, markOps(r, &next)); err != nil {
		return err
	}
	if err := sleep(ctx, 4*c.a.pause); err != nil {
		return err
	}
	now, err := c.a.node(ctx, "Eject", r.UUID)
	if err != nil {
		return err
	}
	if m := now.Extra.Mark; m == nil || m.Instance != "" || m.State != "" || m.Installation != c.o.Installation {
		return conflict("Eject", r.label(), "somebody has it now")
	}
	return nil
}

// wipe cleans a node. Its marks are removed while nobody can get it.
func (c *Commander) wipe(ctx context.Context, r *record) error {
	switch state := r.state(); state {
	case stateAvailable, stateCleanFailed:
		if state == stateAvailable {
			if err := c.take(ctx, r); err != nil {
				return err
			}
		}
		if err := c.a.provision(ctx, "Eject", r.UUID, "manage", nil); err != nil {
			return err
		}
	case stateManageable:
	default:
		return conflict("Eject", r.label(), "its image is being written just now: it is %s", state)
	}
	for end := time.Now().Add(c.a.patience); ; {
		now, err := c.a.node(ctx, "Eject", r.UUID)
		if err != nil {
			return err
		}
		r = now
		if r.state() == stateManageable && r.Reservation == "" {
			break
		}
		if time.Now().After(end) {
			return &compute.Error{Op: "ironic.Eject", ID: compute.ID(r.label()), Kind: compute.ErrTimeout, Err: errStillOn(r.state())}
		}
		if err := sleep(ctx, c.a.pause); err != nil {
			return err
		}
	}
	left := mark{State: wiping, Step: r.Updated, Installation: c.o.Installation}
	if r.Extra.Mark != nil {
		left.Attempt = r.Extra.Mark.Attempt // the count of writes goes on
	}
	ops := []operation{{Op: "add", Path: "/extra/hostler", Value: left}}
	if r.Driver.CacheStatus != "" {
		ops = append(ops, operation{Op: "remove", Path: "/driver_info/cache_status"})
	}
	if r.Driver.CacheImage != "" {
		ops = append(ops, operation{Op: "remove", Path: "/driver_info/cache_image_id"})
	}
	if r.Instance == standbyClaim(c.o.Installation, r.UUID) {
		ops = append(ops, operation{Op: "remove", Path: "/instance_uuid"})
	}
	if err := c.a.patch(ctx, "Eject", r.UUID, ops); err != nil {
		return err
	}
	return c.a.provision(ctx, "Eject", r.UUID, "provide", nil)
}

// errStillOn is the state that a node does not leave.
type errStillOn string

// Error implements error.
func (e errStillOn) Error() string { return "the node is still " + string(e) }
