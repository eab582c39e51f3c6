package sshhost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/remote/install"
	"github.com/hostler-project/hostler/remote/sshconn"
)

// markVariable is the environment variable by which the processes of an instance are known on its
// host.
const markVariable = "HOSTLER_INSTANCE_MARK"

// Provider is a list of hosts. Any number of goroutines may use it.
type Provider struct {
	o   Options
	log *slog.Logger
}

var (
	_ compute.Provider = (*Provider)(nil)
	_ provider.Static  = (*Provider)(nil)
	_ provider.Cleaner = (*Provider)(nil)
)

// open returns the provider of the hosts. It connects to none. ErrInvalid: there are no hosts, or
// one is there twice.
func open(_ context.Context, log *slog.Logger, o Options) (*Provider, error) {
	invalid := func(format string, a ...any) (*Provider, error) {
		return nil, &compute.Error{Op: "sshhost.Open", ID: compute.ID(o.Source), Kind: compute.ErrInvalid, Err: fmt.Errorf(format, a...)}
	}
	if o.Source == "" {
		return invalid("a source needs a name")
	}
	if err := o.Check(); err != nil {
		return invalid("%w", err)
	}
	o.SSHHost, o.Hosts = nil, o.hosts()
	return &Provider{o: o, log: log}, nil
}

// Names returns the hosts, in the order of the configuration.
func (p *Provider) Names() []string { return slices.Clone(p.o.Hosts) }

// AsIs reports that these machines stay as they are.
func (p *Provider) AsIs() bool { return true }

// host returns the host of an instance by its whole name.
func (p *Provider) host(op string, id compute.ID) (string, error) {
	for _, h := range p.o.Hosts {
		if id == p.id(h) {
			return h, nil
		}
	}
	return "", &compute.Error{Op: "sshhost." + op, ID: id, Kind: compute.ErrNotFound, Err: errors.New("no such host in this source")}
}

func (p *Provider) id(host string) compute.ID { return compute.ID(p.o.Source + "-" + host) }

func (p *Provider) instance(host string) compute.Instance {
	return compute.Instance{ID: p.id(host), Source: p.o.Source, ProviderID: host, Address: host}
}

// Create returns the host behind spec.ID. It does not connect.
func (p *Provider) Create(_ context.Context, spec compute.Spec) (compute.Instance, error) {
	h, err := p.host("Create", spec.ID)
	if err != nil {
		return compute.Instance{}, err
	}
	return p.instance(h), nil
}

// Lookup returns a host, which always exists. It does not connect.
func (p *Provider) Lookup(id compute.ID) (compute.Instance, bool) {
	h, err := p.host("Standing", id)
	if err != nil {
		return compute.Instance{}, false
	}
	return p.instance(h), true
}

// List returns all hosts, which always exist.
func (p *Provider) List(context.Context) ([]compute.Instance, error) {
	var out []compute.Instance
	for _, h := range p.o.Hosts {
		out = append(out, p.instance(h))
	}
	return out, nil
}

// Destroy ends what our commands left running on a used host. It then returns ErrNotFound, as there
// is nothing to destroy.
func (p *Provider) Destroy(ctx context.Context, id compute.ID) error {
	h, err := p.host("Destroy", id)
	if err != nil {
		return err
	}
	if _, err := p.end(ctx, h); err != nil {
		return failed("Destroy", id, err)
	}
	return &compute.Error{
		Op: "sshhost.Destroy", ID: id, Kind: compute.ErrNotFound,
		Err: errors.New("the machine stays; nothing with our mark runs on it"),
	}
}

// Clean ends what our commands left running. It does not connect to a host that was not used.
func (p *Provider) Clean(ctx context.Context, id compute.ID) (string, error) {
	h, err := p.host("Clean", id)
	if err != nil {
		return "", err
	}
	checked, err := p.end(ctx, h)
	if err != nil {
		return "", failed("Clean", id, err)
	}
	return checked, nil
}

// failed keeps the kind of an error, and returns the context's errors unchanged.
func failed(op string, id compute.ID, err error) error {
	var ce *compute.Error
	var kind error = compute.ErrFailed
	if errors.As(err, &ce) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		kind = nil
	}
	return &compute.Error{Op: "sshhost." + op, ID: id, Kind: kind, Err: err}
}

// Connect logs in. The connection serves any number of commands, and its method Healthy tests it.
func (p *Provider) Connect(ctx context.Context, id compute.ID) (compute.Conn, error) {
	h, err := p.host("Connect", id)
	if err != nil {
		return nil, err
	}
	s, err := sshconn.Dial(ctx, p.options(h, map[string]string{markVariable: p.mark(h)}))
	if err != nil {
		return nil, err
	}
	return &conn{Conn: install.Over(s, id, p.mark(h), p.o.Agent), p: p, host: h}, nil
}

func (p *Provider) mark(host string) string { return p.o.Installation + "/" + string(p.id(host)) }

// options reads [USER@]HOST[:PORT]. An IPv6 address needs brackets before a port.
func (p *Provider) options(host string, mark map[string]string) sshconn.Options {
	o := sshconn.Options{Host: host, ConfigFile: p.o.ConfigFile, Timeout: p.o.Timeout, KeepAlive: p.o.KeepAlive, Mark: mark}
	if i := strings.LastIndexByte(o.Host, '@'); i >= 0 {
		o.User, o.Host = o.Host[:i], o.Host[i+1:]
	}
	if i := strings.LastIndexByte(o.Host, ':'); i >= 0 && (strings.Count(o.Host, ":") == 1 || strings.HasSuffix(o.Host[:i], "]")) {
		if n, err := strconv.ParseUint(o.Host[i+1:], 10, 16); err == nil {
			o.Host, o.Port = strings.Trim(o.Host[:i], "[]"), int(n)
		}
	}
	return o
}

// conn is a connection that notes that a command was run.
type conn struct {
	*install.Conn
	p    *Provider
	host string
}

// Run implements compute.Conn.
func (c *conn) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	if err := c.p.remember(c.host); err != nil {
		return compute.Exit{}, &compute.Error{Op: "sshhost.Run", ID: c.p.id(c.host), Kind: compute.ErrCannotStart, Err: err}
	}
	if cmd.Hold != nil || cmd.Workspace != "" { // needs the agent
		if err := c.p.note(c.host, "kept"); err != nil {
			return compute.Exit{}, &compute.Error{Op: "sshhost.Run", ID: c.p.id(c.host), Kind: compute.ErrCannotStart, Err: err}
		}
	}
	return c.Conn.Run(ctx, cmd)
}

// Workspace implements provider.Workspacer.
func (c *conn) Workspace(ctx context.Context, token string) (net.Conn, error) {
	if err := c.p.remember(c.host); err != nil { // Clean removes workspaces too
		return nil, &compute.Error{Op: "sshhost.Workspace", ID: c.p.id(c.host), Kind: compute.ErrFailed, Err: err}
	}
	return c.Conn.Workspace(ctx, token)
}

// Held implements provider.DetachedRuns. If the agent never got a command to keep, none is
// started for the question.
func (c *conn) Held(ctx context.Context) ([]provider.HeldRun, error) {
	if c.p.o.Dir != "" && c.p.o.Agent != nil {
		if _, err := os.Lstat(c.p.file(c.host, "kept")); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
	}
	return c.Conn.Held(ctx)
}

// file returns the path of a note on a host. Two notes say that processes may have been started
// since the last Clean: used, and during a Clean, ending. Run writes the first before it starts
// anything. Clean renames it before it searches, so a process that starts meanwhile is found the
// next time. A Clean that is cut short leaves the second. A third note, kept, says that the agent
// got a command that it may keep.
func (p *Provider) file(host, what string) string {
	return filepath.Join(p.o.Dir, url.PathEscape(host)+"."+what)
}

func (p *Provider) remember(host string) error { return p.note(host, "used") }

// note writes one of them.
func (p *Provider) note(host, what string) error {
	if p.o.Dir == "" {
		return nil
	}
	name := p.file(host, what)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(p.o.Dir, 0o700); err == nil {
			f, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
		}
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// huntScript ends every process that has $1 in its environment. It asks them first, then kills
// them, and searches again until none is left. It prints how many it ended. Status 3: new ones kept
// coming. Status 4: there is no /proc. Status 5: the workspaces in $2 cannot be removed.
const huntScript = `c=${XDG_CACHE_HOME:-$HOME/.cache}/hostler/
drop(){ [ -d "$1" ]||return 0;rm -rf -- "$1" 2>/dev/null||{ chmod -R u+rwx -- "$1";rm -rf -- "$1";}||exit 5;}
sweep(){ drop "$c$1";[ "$(id -u)" != 0 ]||drop "` + install.Machine + `$1";}
[ -r /proc/self/environ ]||{ sweep "$2";exit 4;}
look(){ if [ -n "$z" ];then grep -slzxF -- "$1" /proc/[0-9]*/environ;else
for f in /proc/[0-9]*/environ;do { tr "\000" "\n" <$f|grep -qxF -- "$1"&&echo $f;} 2>/dev/null;done;fi;}
z=;[ "$(printf "a\000b\000"|grep -czxF b 2>/dev/null)" = 1 ]&&z=1
s=TERM;n=0;i=0
while [ $i -lt 20 ];do
l=$(look "$1");[ -n "$l" ]||{ sweep "$2";echo $n;exit 0;}
for f in $l;do p=${f#/proc/};kill -$s ${p%/environ} 2>/dev/null;kill -CONT ${p%/environ} 2>/dev/null;[ $i -gt 0 ]||n=$((n+1));done
if [ $s = TERM ];then sleep 1;fi
s=KILL;i=$((i+1));done
exit 3`

// end ends the marked processes of a host and says what it found.
func (p *Provider) end(ctx context.Context, host string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if p.o.Dir == "" {
		return "processes are not looked for", nil
	}
	if err := os.Rename(p.file(host, "used"), p.file(host, "ending")); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(p.file(host, "ending")); errors.Is(err, fs.ErrNotExist) {
			return "nothing was run", nil
		}
	} else if err != nil {
		return "", err
	}
	// unmarked, so the search does not find itself
	s, err := sshconn.Dial(ctx, p.options(host, nil))
	if err != nil {
		return "", err
	}
	defer s.Close()
	var out, bad few
	exit, err := s.Run(
		ctx,
		&compute.Command{
			Args:   []string{"sh", "-c", huntScript, "sh", markVariable + "=" + p.mark(host), install.Place(p.mark(host))},
			Stdout: &out, Stderr: &bad,
		},
	)
	switch {
	case err != nil:
		return "", err
	case exit.Code == 3:
		return "", errors.New("processes that were left do not end")
	case exit.Code == 5:
		return "", fmt.Errorf(
			"copies of working trees, in hostler's directory of the user's cache there, cannot be removed: %s",
			strings.TrimSpace(string(bad)),
		)
	case exit.Code == 4:
		out = nil
	case exit.Status() != 0:
		return "", fmt.Errorf("looking for processes on the host ended with %d: %s", exit.Status(), strings.TrimSpace(string(bad)))
	}
	// while the last note exists the search is repeated
	for _, what := range []string{"kept", "ending"} {
		if err := os.Remove(p.file(host, what)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	n := strings.TrimSpace(string(out))
	if n == "" {
		return "the host has no /proc to look for processes in", nil
	}
	if n != "0" {
		p.log.Info("ended what a lease left running", "instance", p.id(host), "source", p.o.Source, "processes", n)
	}
	return n + " processes ended, none with our mark left", nil
}

// few keeps the first bytes that a host writes and drops the rest, so that a host cannot fill our
// memory.
type few []byte

func (f *few) Write(b []byte) (int, error) {
	*f = append(*f, b[:min(len(b), 4096-len(*f))]...)
	return len(b), nil
}
