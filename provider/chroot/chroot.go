//go:build linux

package chroot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/instancedirs"
	"github.com/hostler-project/hostler/remote/process"
	"github.com/hostler-project/hostler/run/workspace/receive"
)

// markVariable is the environment variable that tells a process's instance. Clean and Destroy find
// processes by it, and by their root.
const markVariable = "HOSTLER_INSTANCE_MARK"

// Provider makes chroots.
type Provider struct {
	o     options
	log   *slog.Logger
	homes *instancedirs.Dir[instanceRecord]
	// called before each step, with its name; an error ends the call as a kill would. nil but in
	// tests
	step func(string) error
}

var (
	_ compute.Provider     = (*Provider)(nil)
	_ provider.Cleaner     = (*Provider)(nil)
	_ provider.Snapshotter = (*Provider)(nil)
)

// open returns the provider for one source. ErrDenied: the caller is not root. ErrInvalid: the
// options are wrong. Create is the first to look for the base, and whether it is trusted
// (ErrDenied), so that instances can be destroyed without it. All calls refuse a directory of
// instances that is another user's.
func open(_ context.Context, log *slog.Logger, o options) (*Provider, error) {
	fail := func(kind error, hint, text string, args ...any) (*Provider, error) {
		return nil, &compute.Error{Op: "chroot.Open", ID: compute.ID(o.Source), Kind: kind, Err: fmt.Errorf(text, args...), Hint: hint}
	}
	o.Layer = cmp.Or(o.Layer, "auto")
	if err := o.Check(); err != nil {
		return fail(compute.ErrInvalid, compute.Hint(err), "%w", err)
	}
	switch {
	case o.Dir == "":
		return fail(compute.ErrInvalid, "", "no directory to keep instances in")
	case os.Geteuid() != 0:
		return fail(
			compute.ErrDenied, "run hostler as root for this source, or use one of type local",
			"only root may change the root directory",
		)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return fail(compute.ErrInvalid, "", "%w", err)
	}
	// Links on the way are resolved, as the kernel's list of mounts has them. The part that does
	// not exist yet is made when it is needed.
	rest := ""
	for at := dir; ; at = filepath.Dir(at) {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			o.Dir = filepath.Join(real, rest)
			break
		} else if !errors.Is(err, fs.ErrNotExist) || at == "/" {
			return fail(compute.ErrInvalid, "", "%w", err)
		}
		rest = filepath.Join(filepath.Base(at), rest)
	}
	p := &Provider{o: o, log: log}
	p.homes = p.keep()
	return p, nil
}

// at calls the test's hook before a step.
func (p *Provider) at(step string) error {
	if p.step == nil {
		return nil
	}
	return p.step(step)
}

// fault adds the operation and the instance to an error, and a kind unless it has one.
func fault(op string, id compute.ID, err error) error {
	var e *compute.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	kind := error(compute.ErrFailed)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		kind = nil
	case errors.Is(err, instancedirs.ErrNone):
		kind = compute.ErrNotFound
	case errors.Is(err, instancedirs.ErrForeign):
		kind = compute.ErrConflict
	case instancedirs.Full(err):
		kind = compute.ErrNoCapacity
	case errors.Is(err, fs.ErrPermission):
		kind = compute.ErrDenied
	}
	return &compute.Error{Op: "chroot." + op, ID: id, Kind: kind, Err: err}
}

// instance describes an instance by its record. The fact base is there only for an instance
// without an image.
func (p *Provider) instance(o instanceRecord) compute.Instance {
	facts := map[string]string{"os": "linux", "arch": runtime.GOARCH, "layer": o.Layer}
	if o.Image != "" {
		facts["image"] = o.Image
	} else {
		facts["base"] = o.Base
	}
	return compute.Instance{ID: compute.ID(o.ID), Source: p.o.Source, ProviderID: p.root(compute.ID(o.ID)), Facts: facts}
}

// mark is the value of markVariable in an instance's processes.
func (p *Provider) mark(id compute.ID) string { return p.o.Installation + "/" + string(id) }

// Create makes a chroot, finishes one that was begun, or returns the existing one.
func (p *Provider) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	if !instancedirs.Plain(spec.ID) {
		return compute.Instance{}, &compute.Error{
			Op: "chroot.Create", ID: spec.ID, Kind: compute.ErrInvalid, Err: errors.New("not a name for a directory"),
		}
	}
	if err := p.place(); err != nil {
		return compute.Instance{}, err
	}
	// old remains only: a new instance does not wait for another's deletion
	p.homes.Sweep(ctx, 10*time.Minute)
	l, own, err := p.homes.Make(ctx, instanceRecord{Owner: p.homes.Owner(spec.ID), Base: p.o.Base, Image: p.imageName(spec.Image)})
	if err != nil {
		return compute.Instance{}, fault("Create", spec.ID, err)
	}
	defer l.Close()
	if err := p.up(ctx, &own); err != nil {
		return compute.Instance{}, fault("Create", spec.ID, err)
	}
	return p.instance(own), nil
}

// Connect opens a connection to a chroot. It first mounts a chroot that a reboot or a kill left
// unmounted.
func (p *Provider) Connect(ctx context.Context, id compute.ID) (compute.Conn, error) {
	l, own, err := p.homes.Lock(ctx, id)
	if err != nil {
		return nil, fault("Connect", id, err)
	}
	defer l.Close()
	if err := p.up(ctx, &own); err != nil {
		return nil, fault("Connect", id, err)
	}
	conn := process.New(process.Options{
		Root: p.root(id), Chroot: true, Mark: map[string]string{markVariable: p.mark(id)},
	})
	return receive.New(conn, receive.Options{Root: p.root(id)}), nil
}

// Destroy ends all processes of a chroot, unmounts and deletes it.
func (p *Provider) Destroy(ctx context.Context, id compute.ID) error {
	l, _, err := p.homes.Lock(ctx, id)
	if err != nil {
		if errors.Is(err, instancedirs.ErrNone) {
			p.homes.Sweep(ctx, 0) // an earlier Destroy may have been killed over it
		}
		return fault("Destroy", id, err)
	}
	defer l.Close()
	if _, err := p.down(ctx, id); err != nil {
		return fault("Destroy", id, err)
	}
	if err := p.at("trash"); err != nil {
		return err
	}
	if _, err := p.homes.Throw(p.home(id)); err != nil {
		return fault("Destroy", id, err)
	}
	if err := p.at("delete"); err != nil {
		return err
	}
	// processes that started in the last moment: from now on none can
	if _, err := p.guests(id).kill(ctx); err != nil {
		return fault("Destroy", id, err)
	}
	p.forget()
	p.homes.Sweep(ctx, 0)
	return nil
}

// Clean ends all processes of a chroot and gives it a new layer.
func (p *Provider) Clean(ctx context.Context, id compute.ID) (string, error) {
	l, own, err := p.homes.Lock(ctx, id)
	if err != nil {
		return "", fault("Clean", id, err)
	}
	defer l.Close()
	n, err := p.down(ctx, id)
	if err != nil {
		return "", fault("Clean", id, err)
	}
	// done goes first: from then on the layer counts as incomplete.
	for _, name := range []string{"done", "upper", "work", "root"} {
		if err := p.at("drop " + name); err != nil {
			return "", err
		}
		if _, err := p.homes.Throw(filepath.Join(p.home(id), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fault("Clean", id, err)
		}
	}
	// processes that started in the last moment: there is no root any more to start in
	late, err := p.guests(id).kill(ctx)
	if err != nil {
		return "", fault("Clean", id, err)
	}
	n += late
	if err := p.up(ctx, &own); err != nil {
		return "", fault("Clean", id, err)
	}
	p.homes.Sweep(ctx, 0)
	return fmt.Sprintf("%d processes ended, a new layer (%s) over %s", n, own.Layer, cmp.Or(own.Image, own.Base)), nil
}

// List returns this installation's chroots of this source.
func (p *Provider) List(ctx context.Context) ([]compute.Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault("List", "", err)
	}
	if err := p.place(); err != nil {
		return nil, err
	}
	all, err := p.homes.List()
	var out []compute.Instance
	for _, own := range all {
		out = append(out, p.instance(own))
	}
	return out, fault("List", "", err)
}
