package container

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/remote/agent"
)

// options are the options of a source of type container.
type options struct {
	// the path of the engine's socket; "": $DOCKER_HOST, else the first one found of Docker's and
	// Podman's usual places
	Socket string `conf:"socket"`
	// the image of containers; required, unless each request names one
	Image string `conf:"image"`
	Pull  string `conf:"pull"` // missing (the default), always or never
	// none, bridge, host, or a network's name; "": one of ours behind a wall, or the engine's
	// default
	Network string `conf:"network"`
	// destinations that containers may connect to, as docs/network.md says; without names
	Egress []string `conf:"egress"`
	// forwarded: [[ADDRESS:]PORT:]PORT[/udp]; without ADDRESS on 127.0.0.1, without the first PORT
	// on a free one
	Ports []string `conf:"ports"`
	Cores float64  `conf:"cores"` // share of the processors' time, at most; 0: no limit
	// bytes, at most, without swap; 0: no limit
	Memory int64 `conf:"memory,size"`
	// processes and threads at most; 0: no limit but the engine's
	PIDs int64 `conf:"pids"`
	// bytes at most in the container's own layer, where the storage driver can; 0: no limit
	Disk int64 `conf:"disk,size"`
	// SRC:DST[:rw]; SRC is an absolute path of this machine, or a volume's name; read-only without
	// :rw
	Mounts []string `conf:"mounts"`
	// the user that commands run as, name or number; "": as the image says
	User    string   `conf:"user"`
	Env     []string `conf:"env"`     // NAME=VALUE
	Ulimits []string `conf:"ulimits"` // NAME=SOFT[:HARD], as nofile=1024:4096
	// start the image's own entry point and command too; the container ends with it
	Entrypoint bool `conf:"entrypoint"`
	// copy our program into each container, without trying to mount it
	CopyAgent bool `conf:"copy-agent"`

	// restricted (the default), or default: what the engine lets containers do
	Profile string `conf:"profile"`
	// added to the profile's; a name with - before it is taken away
	Capabilities []string `conf:"capabilities"`
	// let programs gain rights when they start, as sudo does, in a restricted container too
	NewPrivileges bool     `conf:"new-privileges"`
	ReadOnly      bool     `conf:"read-only"` // no writes but to mounts
	Tmpfs         []string `conf:"tmpfs"`     // PATH[:SIZE]
	// the engine's name of an OCI runtime; "": its default
	Runtime string `conf:"runtime"`
	// host, auto, keep-id or nomap; "": the engine's default
	UserNS string `conf:"userns"`

	Source       string         // the source's name
	Installation string         // the installation's id
	Dir          string         // unused: all state is at the engine
	Agent        agent.Finder   // finds our guest program; required for Create
	Others       *image.Others  // how images that requests name are fetched; nil: as the owner's
	Registry     image.Registry // knows registries of images
}

// plan is the parsed lists of options.
type plan struct {
	mounts  []mount
	ports   []port
	ulimits []ulimit
	rights  rights
}

type port struct {
	inside   string // in the API's form: "80/tcp"
	address  string // on this machine
	hostPort string // "": a free one
}

// Check validates the keys, without asking the engine. Its errors are provider.KeyErrors.
func (o options) Check() error {
	_, err := o.read()
	return err
}

// read parses the options. Its errors name the key.
func (o *options) read() (p plan, err error) {
	if !slices.Contains([]string{"", "missing", "always", "never"}, o.Pull) {
		return p, provider.WrongKey("pull", "", "pull = %s: not missing, always or never", o.Pull)
	}
	if err := o.bounds(); err != nil {
		return p, err
	}
	if o.Image != "" {
		if err := reference(o.Image); err != nil {
			return p, provider.WrongKey("image", compute.Hint(err), "%w", err)
		}
	}
	if p.rights, err = o.rights(); err != nil {
		return p, err
	}
	if strings.ContainsAny(o.Network, " \t/") {
		return p, provider.WrongKey("network", "", "network = %s: not none, bridge, host or a network's name", o.Network)
	}
	if err := o.wall(); err != nil {
		return p, err
	}
	for _, e := range o.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			// not the value, which may be a secret
			return p, provider.WrongKey("env", "", "env: %q is not NAME=VALUE", name)
		}
	}
	for _, text := range o.Mounts {
		m, err := readMount(text)
		if err != nil {
			return p, provider.WrongKey("mounts", "", "mounts: %w", err)
		}
		p.mounts = append(p.mounts, m)
	}
	for _, text := range o.Ports {
		one, err := readPort(text)
		if err != nil {
			return p, provider.WrongKey("ports", "", "ports: %w", err)
		}
		p.ports = append(p.ports, one)
	}
	for _, text := range o.Ulimits {
		u, err := readUlimit(text)
		if err != nil {
			return p, provider.WrongKey("ulimits", "", "ulimits: %w", err)
		}
		p.ulimits = append(p.ulimits, u)
	}
	return p, nil
}

// readMount parses SRC:DST[:rw|:ro].
func readMount(text string) (mount, error) {
	f := strings.Split(text, ":")
	m := mount{Type: "bind", ReadOnly: true}
	switch {
	case len(f) == 3 && f[2] == "rw":
		m.ReadOnly = false
	case len(f) == 3 && f[2] == "ro", len(f) == 2:
	default:
		return m, fmt.Errorf("%q is not SRC:DST or SRC:DST:rw", text)
	}
	m.Source, m.Target = f[0], f[1]
	switch {
	case path.IsAbs(m.Source):
	case m.Source == "" || strings.ContainsAny(m.Source, "/~$") || m.Source[0] == '.':
		return m, fmt.Errorf("%q: %s is neither an absolute path nor a volume's name", text, m.Source)
	default:
		m.Type = "volume"
	}
	if !path.IsAbs(m.Target) || path.Clean(m.Target) == "/" {
		return m, fmt.Errorf("%q: %s is no absolute path below /", text, m.Target)
	}
	return m, nil
}

// readPort parses [[ADDRESS:]PORT:]PORT[/PROTOCOL]; an IPv6 address stands in brackets.
func readPort(text string) (port, error) {
	bad := fmt.Errorf("%q is not [[ADDRESS:]PORT:]PORT[/udp]", text)
	rest, protocol, ok := strings.Cut(text, "/")
	if !ok {
		protocol = "tcp"
	}
	if !slices.Contains([]string{"tcp", "udp", "sctp"}, protocol) {
		return port{}, bad
	}
	p := port{address: "127.0.0.1"}
	inside := rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		inside, rest = rest[i+1:], rest[:i]
		p.hostPort = rest
		if i := strings.LastIndexByte(rest, ':'); i >= 0 {
			p.hostPort = rest[i+1:]
			a, err := netip.ParseAddr(strings.Trim(rest[:i], "[]"))
			if err != nil {
				return port{}, bad
			}
			p.address = a.String()
		}
	}
	if n, err := strconv.ParseUint(inside, 10, 16); err != nil || n == 0 {
		return port{}, bad
	}
	if _, err := strconv.ParseUint(p.hostPort, 10, 16); err != nil && p.hostPort != "" {
		return port{}, bad
	}
	p.inside = inside + "/" + protocol
	return p, nil
}

// readUlimit parses NAME=SOFT[:HARD].
func readUlimit(text string) (ulimit, error) {
	name, values, ok := strings.Cut(text, "=")
	soft, hard, two := strings.Cut(values, ":")
	if !two {
		hard = soft
	}
	u := ulimit{Name: name}
	var err, err2 error
	u.Soft, err = strconv.ParseInt(soft, 10, 64)
	u.Hard, err2 = strconv.ParseInt(hard, 10, 64)
	if !ok || name == "" || err != nil || err2 != nil || u.Soft < -1 || u.Hard < -1 || u.Hard >= 0 && u.Soft > u.Hard {
		return u, fmt.Errorf("%q is not NAME=SOFT or NAME=SOFT:HARD", text)
	}
	return u, nil
}
