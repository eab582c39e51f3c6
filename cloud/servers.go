package cloud

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/flavor"
	"github.com/hostler-project/hostler/remote/process"
)

// serverNamed returns the Server of a record. It makes one if this process has none yet.
func (c *Cloud) serverNamed(r record) *Server {
	c.mu.Lock()
	s, ok := c.servers[r.Name]
	if !ok {
		s = c.serverOf(r)
		c.servers[r.Name] = s
	}
	c.mu.Unlock()
	s.health.learn(r)
	return s
}

// Servers returns the servers of this resource by name, whichever process spawned them. Servers
// that are being made or destroyed are left out.
func (c *Cloud) Servers(ctx context.Context) (map[string]*Server, error) {
	all, err := c.records.all(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]*Server{}
	for name, r := range all {
		if r.State == made {
			out[name] = c.serverNamed(r)
		}
	}
	return out, nil
}

// GetServerByName finds a server by its name, or by the host name that it gave itself. ErrNotFound
// says that there is none.
func (c *Cloud) GetServerByName(ctx context.Context, name string) (*Server, error) {
	all, err := c.Servers(ctx)
	if err != nil {
		return nil, err
	}
	if s := all[name]; s != nil {
		return s, nil
	}
	for _, s := range all {
		if flavor.Hostname(s.Name) == name {
			return s, nil
		}
	}
	return nil, c.unknown(name)
}

func (c *Cloud) unknown(name string) error {
	return &compute.Error{
		Op: "cloud.GetServer", ID: compute.ID(name), Kind: compute.ErrNotFound,
		Err: fmt.Errorf("no server of %s has this name", c.opt.Resource),
	}
}

// HeadNode returns the first server that is reachable from outside; nil if there is none.
func (c *Cloud) HeadNode(ctx context.Context) (*Server, error) {
	all, err := c.Servers(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.IsHeadNode {
			return s, nil
		}
	}
	return nil, nil
}

// InCloud reports whether this process runs on a server of this project.
func (c *Cloud) InCloud(ctx context.Context) (bool, error) {
	self, err := c.backend.Self(ctx)
	return self != "", err
}

// recorded returns the record of a server, by its name or the provider's id.
func (c *Cloud) recorded(ctx context.Context, nameOrID string) (record, error) {
	all, err := c.records.all(ctx)
	if err != nil {
		return record{}, err
	}
	if r, ok := all[nameOrID]; ok {
		return r, nil
	}
	for _, r := range all {
		if r.ID == nameOrID && r.ID != "" {
			return r, nil
		}
	}
	return record{}, c.unknown(nameOrID)
}

// find asks the cloud for a server. known is false if the cloud does not have it.
func (c *Cloud) find(ctx context.Context, r record) (i compute.Instance, known bool, err error) {
	p, err := c.logins.provider(ctx, r.Login)
	if err != nil {
		return i, false, err
	}
	list, err := p.List(ctx)
	if err != nil {
		return i, false, err
	}
	at := slices.IndexFunc(list, func(i compute.Instance) bool { return i.ID == compute.ID(r.Name) })
	if at < 0 {
		return i, false, nil
	}
	if check := provider.Of(p).Health.Checker; check != nil {
		err = check.Check(ctx, compute.ID(r.Name))
	}
	return list[at], true, err
}

// CheckServer reports whether a server runs, by its name or the provider's id. It forgets a server
// that the cloud does not know any more. An error means that the answer could not be found out.
func (c *Cloud) CheckServer(ctx context.Context, nameOrID string) (bool, error) {
	r, err := c.recorded(ctx, nameOrID)
	if errors.Is(err, compute.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, known, err := c.find(ctx, r)
	switch {
	case known && err == nil:
		return true, nil
	case known && !errors.Is(err, compute.ErrDenied) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
		return false, nil
	case err != nil:
		return false, err
	case r.State == made:
		c.log.Warn("a server is gone that we did not destroy", "server", r.Name)
		return false, c.serverNamed(r).Destroy(ctx) // what it left behind goes too
	}
	return false, nil
}

// ServerIsKnown reports whether the cloud knows a server, in any state, by its name or the
// provider's id.
func (c *Cloud) ServerIsKnown(ctx context.Context, nameOrID string) (bool, error) {
	r, err := c.recorded(ctx, nameOrID)
	if errors.Is(err, compute.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	i, _, err := c.find(ctx, r)
	if i.ID != "" {
		return true, nil
	}
	return false, err
}

// DestroyServer destroys a server by its name or the provider's id, as Server.Destroy does.
// ErrNotFound says that it is not of this resource.
func (c *Cloud) DestroyServer(ctx context.Context, nameOrID string) error {
	r, err := c.recorded(ctx, nameOrID)
	if err != nil {
		return err
	}
	return c.serverNamed(r).Destroy(ctx)
}

// LocalhostServer describes this machine under the name localhost. It has all processors and
// memory, and the disk of the working directory. Its address is the one in cidr; "" takes any
// address but the loopback's. No cloud is asked. The server is never destroyed.
func LocalhostServer(os, script string, files []File, cidr string) (*Server, error) {
	ip, err := localAddress(cidr)
	if err != nil {
		return nil, &compute.Error{Op: "cloud.LocalhostServer", Kind: compute.ErrInvalid, Err: err}
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(".", &fs); err != nil {
		return nil, fmt.Errorf("look at the disk of the working directory: %w", err)
	}
	disk := int(fs.Blocks * uint64(fs.Bsize) >> 30)
	f := Flavor{ID: "localhost", Name: "localhost", Cores: runtime.NumCPU(), RAM: memory(), Disk: disk}
	s := newServer(
		nil,
		Timers{}.complete(),
		record{Name: "localhost", IP: ip, OS: os, Script: script, Files: files, Flavor: f, Disk: disk, State: made},
	)
	s.shell.line.open = func(context.Context) (compute.Conn, error) { return process.New(process.Options{KeepEnv: true}), nil }
	return s, nil
}

// memory returns this machine's memory in MiB; 0 if it is unknown.
func memory() int {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "MemTotal:"); ok {
			kib, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			return kib / 1024
		}
	}
	return 0
}

// localAddress returns an address of this machine within cidr. With none given it returns the
// first IPv4 address that is not loopback, else a loopback one.
func localAddress(cidr string) (string, error) {
	var in netip.Prefix
	if cidr != "" {
		var err error
		if in, err = netip.ParsePrefix(cidr); err != nil {
			return "", err
		}
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	var loopback string
	for _, a := range addresses {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		switch ip := p.Addr(); {
		case cidr != "" && in.Contains(ip), cidr == "" && ip.Is4() && !ip.IsLoopback():
			return ip.String(), nil
		case ip.IsLoopback():
			loopback = cmp.Or(loopback, ip.String())
		}
	}
	if cidr != "" {
		return "", fmt.Errorf("no subnet matches your supplied CIDR: no address of this machine is in %s", cidr)
	}
	return loopback, nil
}
