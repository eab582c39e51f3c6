package openstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"

	"github.com/hostler-project/hostler/compute"
)

// health judges servers by what the cloud says of them.
type health struct {
	o        *Options
	s        *Session
	seen     *observations
	hardware *hardware
}

// standing returns nil for a server that runs, ErrNotReady for one that is being made, and
// otherwise an error that says what is wrong.
func (h *health) standing(ctx context.Context, s servers.Server, id compute.ID) error {
	age := time.Since(s.Created)
	task := ""
	if s.TaskState != "" {
		task = ", " + s.TaskState
	}
	switch s.Status {
	case "ACTIVE", "PASSWORD":
		if s.TaskState == "deleting" {
			return &compute.Error{
				Op: "openstack.Connect", ID: id, Kind: compute.ErrNotFound,
				Err: errors.New("the server is being deleted"),
			}
		}
		return nil
	case "ERROR":
		return h.broken(ctx, s, id)
	case "BUILD":
		// Clocks differ, so the time counts since we first saw it.
		seen := h.seen.see(id, func(k *observation) {
			if k.building.IsZero() {
				k.building = time.Now()
			}
		})
		if time.Since(seen.building) > h.o.BuildTimeout {
			f := &Fault{Reason: TimedOut, Message: fmt.Sprintf("still in BUILD%s after %s", task, h.o.BuildTimeout)}
			return &compute.Error{
				Op: "openstack.Connect", ID: id, Kind: compute.ErrTimeout, Err: h.explain(ctx, s, f),
				Hint: "build-timeout says how long one may take",
			}
		}
		return notReady(id, fmt.Errorf("BUILD%s, for %s", task, max(age, 0).Round(time.Second)))
	case "REBUILD", "REBOOT", "HARD_REBOOT", "RESIZE", "MIGRATING", "VERIFY_RESIZE", "REVERT_RESIZE", "UNKNOWN":
		return notReady(id, errors.New(s.Status+task))
	case "DELETED", "SOFT_DELETED":
		return &compute.Error{Op: "openstack.Connect", ID: id, Kind: compute.ErrNotFound, Err: errors.New("the server is deleted")}
	}
	if strings.Contains(s.TaskState, "powering-on") || strings.Contains(s.TaskState, "resuming") ||
		strings.Contains(s.TaskState, "unshelving") || strings.Contains(s.TaskState, "unpausing") || s.TaskState == "spawning" {
		return notReady(id, errors.New(s.Status+task))
	}
	return &compute.Error{
		Op: "openstack.Connect", ID: id, Kind: compute.ErrUnavailable,
		Err: fmt.Errorf("the server is %s%s", s.Status, task), Hint: "start it, or discard the instance",
	}
}

// broken returns the error for a server in ERROR.
func (h *health) broken(ctx context.Context, s servers.Server, id compute.ID) error {
	if s.Fault.Message == "" { // some clouds leave it out of lists
		if c, err := h.s.Compute(ctx); err == nil {
			if again, err := servers.Get(ctx, c, s.ID).Extract(); err == nil {
				s = *again
			}
		}
	}
	f := serverFault(s.Fault.Message)
	if f.Reason == NoHardware {
		h.lacking(s, id)
	}
	return &compute.Error{
		Op: "openstack.Connect", ID: id, Kind: f.kind(), Err: h.explain(ctx, s, f),
		Hint: cmp.Or(f.hint(), "discard the instance"),
	}
}

// explain adds the host, if the cloud tells it, and the end of the console log.
func (h *health) explain(ctx context.Context, s servers.Server, f *Fault) *Fault {
	f.Host = s.Host
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if log, err := h.console(ctx, s, 10); err == nil {
		f.Log = strings.Join(strings.FieldsFunc(log, func(r rune) bool { return r == '\n' || r == '\r' }), " | ")
		const most = 1500
		if len(f.Log) > most {
			f.Log = "…" + strings.ToValidUTF8(f.Log[len(f.Log)-most:], "")
		}
	}
	return f
}

// lacking notes, once for each server, that its flavor had no hardware.
func (h *health) lacking(s servers.Server, id compute.ID) {
	name, ok := s.Flavor["id"].(string)
	h.seen.see(id, func(k *observation) { ok, k.lacking = ok && k.lacking != s.ID, s.ID })
	if !ok {
		return
	}
	h.hardware.failed(name)
}

// console returns the last lines of a console; 0: all that is there.
func (h *health) console(ctx context.Context, s servers.Server, lines int) (string, error) {
	c, err := h.s.Compute(ctx)
	if err != nil {
		return "", err
	}
	log, err := servers.ShowConsoleOutput(ctx, c, s.ID, servers.ShowConsoleOutputOpts{Length: lines}).Extract()
	// it has no console yet
	if r := ReasonOf(Classify("Console", "", err)); r == Missing || r == Conflicting {
		return "", nil
	}
	return log, err
}
