package ec2

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

// listing is the instances of the source at one time.
type listing struct {
	began time.Time
	// the instance that counts comes first, then the extra ones
	all   map[compute.ID][]session.Machine
	order []compute.ID
}

// find returns the instance of a name, from a listing that began at since or later. If it is
// missing in an older listing, it is looked for again.
func (n *instances) find(ctx context.Context, id compute.ID, since time.Time) (session.Machine, error) {
	same, err := n.findAll(ctx, id, since)
	if err != nil {
		return session.Machine{}, err
	}
	return same[0], nil
}

// findAll is find with the extra instances.
func (n *instances) findAll(ctx context.Context, id compute.ID, since time.Time) ([]session.Machine, error) {
	if !name().MatchString(string(id)) {
		return nil, &compute.Error{ID: id, Kind: compute.ErrNotFound, Err: errors.New("not a name that an instance may have")}
	}
	now := time.Now()
	for {
		l, err := n.look(ctx, since)
		if err != nil {
			return nil, err
		}
		if same := l.all[id]; same != nil {
			return same, nil
		}
		if !l.began.Before(now) {
			return nil, &compute.Error{ID: id, Kind: compute.ErrNotFound, Err: errors.New("no instance of this source has this name")}
		}
		since = now
	}
}

// instances lists the instances of one source.
type instances struct {
	o       *settings
	session *session.Session

	mu      sync.Mutex
	last    *listing
	reading chan struct{} // closed when the current reading has ended; nil: none is being read
}

// look returns a listing that began at since or later. If another goroutine is reading a suitable
// one, it waits for that.
func (n *instances) look(ctx context.Context, since time.Time) (*listing, error) {
	for {
		n.mu.Lock()
		if l := n.last; l != nil && !l.began.Before(since) {
			n.mu.Unlock()
			return l, nil
		}
		reading := n.reading
		if reading == nil {
			reading = make(chan struct{})
			n.reading = reading
			n.mu.Unlock()
			l, err := n.read(ctx)
			n.mu.Lock()
			if n.reading = nil; err == nil {
				n.last = l
			}
			n.mu.Unlock()
			close(reading)
			return l, err
		}
		n.mu.Unlock()
		select {
		case <-reading: // if that failed, or began too early, the next caller reads
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// ours returns the filters for what is this source's.
func (n *instances) ours(more ...types.Filter) []types.Filter {
	return append([]types.Filter{
		session.Filter("tag:"+session.TagInstallation, n.o.Installation), session.Filter("tag:"+session.TagSource, n.o.Source),
	}, more...)
}

// read lists the source's instances.
func (n *instances) read(ctx context.Context) (*listing, error) {
	l := &listing{began: time.Now(), all: map[compute.ID][]session.Machine{}}
	found, err := n.session.Describe(ctx, n.ours(session.Existing)...)
	if err != nil {
		return nil, err
	}
	for _, m := range found {
		if m.ID == "" {
			continue // somebody removed the tag: it is nobody's
		}
		if l.all[m.ID] == nil {
			l.order = append(l.order, m.ID)
		}
		l.all[m.ID] = append(l.all[m.ID], m)
	}
	for _, same := range l.all {
		slices.SortFunc(same, older)
	}
	return l, nil
}

// named lists the instances of one name.
func (n *instances) named(ctx context.Context, id compute.ID) ([]session.Machine, error) {
	same, err := n.session.Describe(ctx, n.ours(session.Existing, session.Filter("tag:"+session.TagInstance, string(id)))...)
	slices.SortFunc(same, older)
	return same, err
}

// older orders the instances of one name: living ones first, and the oldest of these first.
func older(a, b session.Machine) int {
	return cmp.Or(ending(a)-ending(b), a.Launched.Compare(b.Launched), cmp.Compare(a.Instance, b.Instance))
}

// ending orders instances that are ending behind living ones.
func ending(m session.Machine) int {
	if m.State == types.InstanceStateNameShuttingDown {
		return 1
	}
	return 0
}

// byToken looks for a living instance that was launched with a token. It waits a moment, as the
// instance may not be listed yet.
func (n *instances) byToken(ctx context.Context, token string) (session.Machine, bool, error) {
	for end := time.Now().Add(2 * n.o.Poll); ; {
		found, err := n.session.Describe(ctx, n.ours(session.Existing, session.Filter("client-token", token))...)
		if err != nil {
			return session.Machine{}, false, err
		}
		if i := slices.IndexFunc(found, func(m session.Machine) bool { return ending(m) == 0 }); i >= 0 {
			return found[i], true, nil
		}
		if time.Now().After(end) {
			return session.Machine{}, false, nil
		}
		if err := session.Pause(ctx, n.o.Poll); err != nil {
			return session.Machine{}, false, err
		}
	}
}

// await waits until an instance has a state. It calls meanwhile, unless that is nil, between two
// looks.
func (n *instances) await(ctx context.Context, id compute.ID, state types.InstanceStateName, meanwhile func() error) error {
	for {
		m, err := n.find(ctx, id, time.Now())
		switch {
		case err != nil:
			return err
		case m.State == state:
			return nil
		case m.State == types.InstanceStateNameShuttingDown,
			state == types.InstanceStateNameRunning && m.State == types.InstanceStateNameStopping:
			return &compute.Error{ID: id, Kind: compute.ErrUnavailable, Err: m.Off()}
		}
		if meanwhile != nil {
			if err := meanwhile(); err != nil {
				return err
			}
		}
		if err := session.Pause(ctx, n.o.Poll); err != nil {
			return err
		}
	}
}
