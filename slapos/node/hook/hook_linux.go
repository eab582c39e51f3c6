package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/runas"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto"
)

const (
	maxAsk  = 64 << 10 // bytes of a file in which something is asked for
	maxMany = 256      // things that are asked for in one
)

// A Supervisor runs programs; *supervise.Client is one.
type Supervisor interface {
	Groups(ctx context.Context) ([]string, error)
	Put(ctx context.Context, g supervise.Group) (bool, error)
	Start(ctx context.Context, names ...string) error
	Remove(ctx context.Context, name string) error
}

// Options are what hooks work with.
type Options struct {
	// of the hooks that are called, in this order
	Names []string
	// the lines of a setting; nil: there are none
	Setting    func(hook, key string) ([]string, error)
	Supervisor Supervisor //
	// the user of a partition; nil: we are not root, and can do nothing as another user
	User func(d *home.Dir) (*runas.User, error)
	// for how long a partition is to be kept
	Retention func(d *home.Dir) (until time.Time, err error)
	// the command that forwards a port, to which forward.Options.Args is added
	Forwarder []string
	// users that may have cores of their own
	PowerUsers []string
	// before commands that change a firewall, say to do so in another network; nil: nothing
	Prefix []string
	Log    func(line string) // may be nil
}

// Hooks calls some hooks. It may be used from many goroutines, for different partitions.
type Hooks struct{ o Options }

// partition is a partition as hooks see it.
type partition struct {
	*proto.Partition
	home *home.Dir
	user *runas.User
}

// New makes hooks, and refuses a name that none has.
func New(o Options) (*Hooks, error) {
	known := []string{prerm, portRedir, devPerm, whitelist, cpuSet}
	for _, name := range o.Names {
		if !slices.Contains(known, name) {
			return nil, &compute.Error{
				Op: "hook.New", Kind: compute.ErrInvalid,
				Err: fmt.Errorf("manager_list names %q, and there are %s", name, strings.Join(known, ", ")),
			}
		}
	}
	return &Hooks{o}, nil
}

// Done is to be called after a partition was processed, or found to be as it should be.
func (h *Hooks) Done(ctx context.Context, p *proto.Partition, dir string) error {
	return h.each(p, dir, map[string]func(p *partition) error{
		portRedir: func(p *partition) error { return h.redirect(ctx, p) },
		devPerm:   h.devices,
		whitelist: func(p *partition) error { return h.whitelist(ctx, p) },
		cpuSet:    h.core,
	})
}

// Report is to be called by a report pass of a partition that is wanted destroyed, when it was
// stopped.
func (h *Hooks) Report(ctx context.Context, p *proto.Partition, dir string) error {
	return h.each(p, dir, map[string]func(p *partition) error{
		prerm:     func(p *partition) error { return h.last(ctx, p) },
		devPerm:   func(p *partition) error { return h.takeBack(p, nil) },
		whitelist: func(p *partition) error { return h.free(ctx, p) },
		cpuSet:    func(p *partition) error { return h.share(p) },
	})
}

// each calls the hooks that are wanted and have something to do, all of them, and returns what went
// wrong.
func (h *Hooks) each(one *proto.Partition, dir string, do map[string]func(p *partition) error) error {
	if len(h.o.Names) == 0 {
		return nil
	}
	d, err := home.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	p := &partition{Partition: one, home: d}
	if h.o.User != nil {
		if p.user, err = h.o.User(d); err != nil {
			return err
		}
	}
	var all []error
	for _, name := range h.o.Names {
		if f := do[name]; f != nil {
			if err := f(p); err != nil {
				all = append(all, &compute.Error{Op: "hook." + name, ID: compute.ID(one.ID), Kind: compute.ErrFailed, Err: err})
			}
		}
	}
	return errors.Join(all...)
}

func (h *Hooks) logf(format string, args ...any) {
	if h.o.Log != nil {
		h.o.Log(fmt.Sprintf(format, args...))
	}
}

// asked reads a file in which something is asked for, a list. One that is not there or is empty
// asks for nothing.
func asked[T any](p *partition, name string) ([]T, error) {
	text, err := p.home.Read(name, maxAsk)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(strings.TrimSpace(string(text))) == 0 {
		return nil, nil
	}
	var all []T
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("%s is no list of what it should be: %w", name, err)
	}
	if len(all) > maxMany {
		return nil, fmt.Errorf("%s asks for %d things, and may for %d", name, len(all), maxMany)
	}
	return all, nil
}

// group is a supervisor's user of one of ours.
func group(u *runas.User) *supervise.User {
	if u == nil {
		return nil
	}
	return &supervise.User{UID: u.UID, GID: u.GID, Groups: u.Groups}
}
