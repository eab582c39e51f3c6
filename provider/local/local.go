package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/remote/install"
	"github.com/hostler-project/hostler/remote/process"
	"github.com/hostler-project/hostler/run/workspace/receive"
)

// markVariable is the environment variable by which the processes of an instance are known.
const markVariable = "HOSTLER_INSTANCE_MARK"

// Unmarked returns an environment without markVariable and without the mark of a single command. It
// is for processes that belong to no lease.
func Unmarked(environ []string) []string {
	var out []string
	for _, e := range environ {
		if !strings.HasPrefix(e, markVariable+"=") && !strings.HasPrefix(e, process.CommandMark+"=") {
			out = append(out, e)
		}
	}
	return out
}

// Provider is this machine. Any number of goroutines may use it.
type Provider struct {
	o   Options
	log *slog.Logger
	id  compute.ID
}

var (
	_ compute.Provider = (*Provider)(nil)
	_ provider.Static  = (*Provider)(nil)
	_ provider.Cleaner = (*Provider)(nil)
)

// Open returns the provider of this machine. It does nothing and cannot fail.
func Open(_ context.Context, log *slog.Logger, o Options) (*Provider, error) {
	o.Source = cmp.Or(o.Source, "local")
	return &Provider{o: o, log: log, id: compute.ID(o.Source + "-local")}, nil
}

// Names returns the name of the one computer.
func (p *Provider) Names() []string { return []string{"local"} }

// AsIs reports that this machine stays as it is.
func (p *Provider) AsIs() bool { return true }

// known returns an error unless id is this machine.
func (p *Provider) known(op string, id compute.ID) error {
	if id == p.id {
		return nil
	}
	return &compute.Error{Op: "local." + op, ID: id, Kind: compute.ErrNotFound, Err: fmt.Errorf("the only instance is %s", p.id)}
}

func (p *Provider) instance() compute.Instance {
	host, _ := os.Hostname() // for people only
	facts := map[string]string{"os": runtime.GOOS, "arch": runtime.GOARCH, "cores": strconv.Itoa(runtime.NumCPU())}
	if n := memory(); n > 0 {
		facts["memory"] = strconv.FormatInt(n, 10)
	}
	return compute.Instance{ID: p.id, Source: p.o.Source, ProviderID: cmp.Or(host, "localhost"), Facts: facts}
}

// memory returns the bytes of memory of this machine, or 0 if there is no /proc/meminfo.
func memory() int64 {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "MemTotal: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

// Create returns this machine. Any other name is ErrNotFound.
func (p *Provider) Create(_ context.Context, spec compute.Spec) (compute.Instance, error) {
	if err := p.known("Create", spec.ID); err != nil {
		return compute.Instance{}, err
	}
	return p.instance(), nil
}

// Lookup returns this machine, which always exists.
func (p *Provider) Lookup(id compute.ID) (compute.Instance, bool) { return p.instance(), id == p.id }

// List returns this machine, which is always there.
func (p *Provider) List(context.Context) ([]compute.Instance, error) {
	return []compute.Instance{p.instance()}, nil
}

// Destroy ends the processes that were started through our connections. It then returns
// ErrNotFound, as there is nothing to destroy.
func (p *Provider) Destroy(ctx context.Context, id compute.ID) error {
	if err := p.known("Destroy", id); err != nil {
		return err
	}
	if _, err := p.end(ctx); err != nil {
		return &compute.Error{Op: "local.Destroy", ID: id, Kind: kind(err), Err: err}
	}
	return &compute.Error{
		Op: "local.Destroy", ID: id, Kind: compute.ErrNotFound,
		Err: errors.New("this machine stays; nothing with our mark runs on it"),
	}
}

// Clean ends the processes that were started through our connections.
func (p *Provider) Clean(ctx context.Context, id compute.ID) (string, error) {
	if err := p.known("Clean", id); err != nil {
		return "", err
	}
	checked, err := p.end(ctx)
	if err != nil {
		return "", &compute.Error{Op: "local.Clean", ID: id, Kind: kind(err), Err: err}
	}
	return checked, nil
}

// kind returns the context's error unchanged, and a kind for any other.
func kind(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return compute.ErrFailed
}

// Connect opens a way into this machine.
func (p *Provider) Connect(_ context.Context, id compute.ID) (compute.Conn, error) {
	if err := p.known("Connect", id); err != nil {
		return nil, err
	}
	exec := process.New(process.Options{KeepEnv: true, Mark: map[string]string{markVariable: p.mark()}})
	c := &conn{Conn: exec, p: p}
	if p.o.Dir != "" {
		c.spaces = receive.New(exec, receive.Options{Dir: p.workspaces(), Others: p.others()})
	}
	return c, nil
}

func (p *Provider) mark() string { return p.o.Installation + "/" + string(p.id) }

// conn is a connection that notes that a command was run.
type conn struct {
	*process.Conn
	p      *Provider
	spaces *receive.Conn // the workspaces; nil: there are none
}

// Run is process.Conn's.
func (c *conn) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	if err := c.p.remember(); err != nil {
		return compute.Exit{}, &compute.Error{Op: "local.Run", ID: c.p.id, Kind: compute.ErrCannotStart, Err: err}
	}
	if cmd.Workspace != "" && c.spaces != nil {
		return c.spaces.Run(ctx, cmd)
	}
	return c.Conn.Run(ctx, cmd)
}

// Workspace implements provider.Workspacer.
func (c *conn) Workspace(ctx context.Context, token string) (net.Conn, error) {
	if c.spaces == nil {
		return nil, &compute.Error{
			Op: "local.Workspace", ID: c.p.id, Kind: compute.ErrInvalid,
			Err: errors.New("there is no directory for workspaces"),
		}
	}
	if err := c.p.remember(); err != nil { // Clean removes them too
		return nil, &compute.Error{Op: "local.Workspace", ID: c.p.id, Kind: compute.ErrFailed, Err: err}
	}
	return c.spaces.Workspace(ctx, token)
}

// Close ends what runs, and the workspaces' conversations.
func (c *conn) Close() error {
	if c.spaces != nil {
		return c.spaces.Close()
	}
	return c.Conn.Close()
}

// used and ending are files that say that processes may have been started since the last Clean.
// Run writes used before it starts anything. Clean renames it to ending before it searches, so a
// process that starts meanwhile is found the next time. A Clean that is cut short leaves ending.
func (p *Provider) used() string   { return filepath.Join(p.o.Dir, "used") }
func (p *Provider) ending() string { return filepath.Join(p.o.Dir, "ending") }

// workspaces is the directory of the copies of working trees.
func (p *Provider) workspaces() string { return filepath.Join(p.o.Dir, "workspaces") }

// others is the directory for other users' workspaces: the state directory is closed to them.
func (p *Provider) others() string {
	if os.Geteuid() != 0 {
		return ""
	}
	return install.Machine + install.Place(p.mark())
}

// remember creates the file used, before anything is started. Without a directory it does
// nothing.
func (p *Provider) remember() error {
	if p.o.Dir == "" {
		return nil
	}
	f, err := os.OpenFile(p.used(), os.O_WRONLY|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(p.o.Dir, 0o700); err == nil {
			f, err = os.OpenFile(p.used(), os.O_WRONLY|os.O_CREATE, 0o600)
		}
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// discard removes a directory tree, even where a command has made it read-only.
func discard(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(name, 0o700) // the walk can then read it
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// end ends the marked processes and says what it found.
func (p *Provider) end(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if p.o.Dir != "" {
		if err := os.Rename(p.used(), p.ending()); errors.Is(err, fs.ErrNotExist) {
			if _, err := os.Lstat(p.ending()); errors.Is(err, fs.ErrNotExist) {
				return "nothing was run", nil
			}
		} else if err != nil {
			return "", err
		}
	}
	n, err := hunt(ctx, markVariable+"="+p.mark())
	if err != nil {
		return "", err
	}
	if n > 0 {
		p.log.Info("ended what a lease left running", "instance", p.id, "source", p.o.Source, "processes", n)
	}
	if p.o.Dir != "" {
		for _, dir := range []string{p.workspaces(), p.others()} {
			if dir == "" {
				continue
			}
			if err := discard(dir); err != nil {
				return "", fmt.Errorf("copies of working trees cannot be removed: %w", err)
			}
		}
		if err := os.Remove(p.ending()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	if !canHunt {
		return "processes are not looked for on this system", nil
	}
	return fmt.Sprintf("%d processes ended, none with our mark left", n), nil
}
