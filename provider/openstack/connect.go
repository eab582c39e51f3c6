package openstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/install"
	"github.com/hostler-project/hostler/remote/sshconn"
)

// patience is how long a running server may refuse the log-in: its user and host key are installed
// at the end of its boot.
const patience = 5 * time.Minute

// Connect logs in to a server by ssh.
func (p *Provider) Connect(ctx context.Context, id compute.ID) (compute.Conn, error) {
	s, err := p.find(ctx, "Connect", id)
	if err != nil {
		return nil, err
	}
	if err := p.standing(ctx, s, id); err != nil {
		return nil, err
	}
	seen := p.see(id, func(k *sighting) {
		if k.active.IsZero() {
			k.active = time.Now()
		}
	})
	address := p.address(s)
	if address == "" {
		return nil, notReady(id, errors.New("it has no address yet"))
	}
	keys, err := p.hostKeys(ctx, s, id)
	if err != nil {
		return nil, err
	}
	o := sshconn.Options{
		Host: address, User: cmp.Or(p.o.User, s.Metadata[keyUser]), HostKeys: keys, ConfigFile: p.o.ConfigFile,
		Timeout: 15 * time.Second,
	}
	if p.o.Key == "" {
		o.IdentityFiles = []string{filepath.Join(p.o.Dir, "login_ed25519")}
	} else if p.o.IdentityFile != "" {
		o.IdentityFiles = []string{p.o.IdentityFile}
	}
	c, err := sshconn.Dial(ctx, o)
	if err != nil {
		return nil, p.cannot(ctx, s, id, seen, err)
	}
	p.see(id, func(k *sighting) { k.reached, k.refused = true, time.Time{} })
	return install.Over(c, id, p.o.Installation+"/"+string(id), p.o.Agent), nil
}

func notReady(id compute.ID, err error) error {
	return &compute.Error{Op: "openstack.Connect", ID: id, Kind: compute.ErrNotReady, Err: err}
}

// standing returns nil for a server that runs, ErrNotReady for one that is being made, and
// otherwise an error that says what is wrong.
func (p *Provider) standing(ctx context.Context, s servers.Server, id compute.ID) error {
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
		return p.broken(ctx, s, id)
	case "BUILD":
		// Clocks differ, so the time counts since we first saw it.
		seen := p.see(id, func(k *sighting) {
			if k.building.IsZero() {
				k.building = time.Now()
			}
		})
		if time.Since(seen.building) > p.o.BuildTimeout {
			f := &Fault{Reason: TimedOut, Message: fmt.Sprintf("still in BUILD%s after %s", task, p.o.BuildTimeout)}
			return &compute.Error{
				Op: "openstack.Connect", ID: id, Kind: compute.ErrTimeout, Err: p.explain(ctx, s, f),
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
func (p *Provider) broken(ctx context.Context, s servers.Server, id compute.ID) error {
	if s.Fault.Message == "" { // some clouds leave it out of lists
		if c, err := p.s.Compute(ctx); err == nil {
			if again, err := servers.Get(ctx, c, s.ID).Extract(); err == nil {
				s = *again
			}
		}
	}
	f := serverFault(s.Fault.Message)
	if f.Reason == NoHardware {
		p.lacking(s, id)
	}
	return &compute.Error{
		Op: "openstack.Connect", ID: id, Kind: f.kind(), Err: p.explain(ctx, s, f),
		Hint: cmp.Or(f.hint(), "discard the instance"),
	}
}

// explain adds the host, if the cloud tells it, and the end of the console log.
func (p *Provider) explain(ctx context.Context, s servers.Server, f *Fault) *Fault {
	f.Host = s.Host
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if log, err := p.console(ctx, s, 10); err == nil {
		f.Log = strings.Join(strings.FieldsFunc(log, func(r rune) bool { return r == '\n' || r == '\r' }), " | ")
		const most = 1500
		if len(f.Log) > most {
			f.Log = "…" + strings.ToValidUTF8(f.Log[len(f.Log)-most:], "")
		}
	}
	return f
}

// cannot gives a failed log-in its kind: while the server boots, it is ErrNotReady.
func (p *Provider) cannot(ctx context.Context, s servers.Server, id compute.ID, before sighting, err error) error {
	if ctx.Err() != nil {
		return Classify("Connect", id, ctx.Err())
	}
	// the server may be gone, or have failed, since the last look
	if now, ferr := p.fresh(ctx, id); ferr != nil {
		return ferr
	} else if serr := p.standing(ctx, now, id); serr != nil {
		return serr
	}
	denied := errors.Is(err, compute.ErrDenied)
	seen := p.see(id, func(k *sighting) {
		if denied && k.refused.IsZero() {
			k.refused = time.Now()
		}
	})
	var network net.Error
	switch {
	case before.reached && !denied:
		return &compute.Error{Op: "openstack.Connect", ID: id, Err: err}
	case denied && !before.reached && time.Since(seen.refused) < patience,
		!denied && time.Since(before.active) < p.o.BuildTimeout &&
			(errors.Is(err, compute.ErrUnavailable) || errors.Is(err, compute.ErrTimeout) || errors.As(err, &network)):
		return notReady(id, err)
	}
	f := p.explain(ctx, s, &Fault{Message: err.Error(), Reason: Unknown})
	var kind error = compute.ErrTimeout
	if denied {
		kind = compute.ErrDenied
	}
	return &compute.Error{
		Op: "openstack.Connect", ID: id, Kind: kind, Err: errors.Join(f),
		Hint: cmp.Or(compute.Hint(err), "see whether its security groups let port 22 in, and whether user and image are right"),
	}
}

// fresh returns a server as it is now.
func (p *Provider) fresh(ctx context.Context, id compute.ID) (servers.Server, error) {
	v, err := p.servers.fresh(ctx)
	if err != nil {
		return servers.Server{}, Classify("Connect", id, err)
	}
	if s, ok := v.one(id); ok {
		return s, nil
	}
	return servers.Server{}, &compute.Error{
		Op: "openstack.Connect", ID: id, Kind: compute.ErrNotFound, Err: errors.New("the server is gone"),
	}
}

// hostKeys returns the host keys that a server may have. nil: OpenSSH's known hosts decide.
func (p *Provider) hostKeys(ctx context.Context, s servers.Server, id compute.ID) ([]string, error) {
	if k := s.Metadata[KeyHostKey]; k != "" {
		return []string{k}, nil
	}
	if p.o.HostKey != "console" {
		return nil, nil
	}
	log, err := p.console(ctx, s, 0)
	if err != nil {
		return nil, Classify("Connect", id, err)
	}
	keys := consoleKeys(log)
	if len(keys) == 0 {
		return nil, notReady(id, errors.New("its console log does not tell its host keys yet"))
	}
	best := keys[0]
	for _, k := range keys {
		if strings.HasPrefix(k, "ssh-ed25519 ") {
			best = k
		}
	}
	if len(best) <= 255 { // the log is not kept for ever
		c, err := p.s.Compute(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := servers.UpdateMetadata(ctx, c, s.ID, servers.MetadataOpts{KeyHostKey: best}).Extract(); err != nil {
			return nil, Classify("Connect", id, err)
		}
		p.servers.drop() // the last list does not have it
	}
	return []string{best}, nil
}
