package container

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/provider"
)

// The profiles: the rights of a container where no other key says.
const (
	// the default: no new privileges, the capabilities of base, mostPIDs processes
	restricted = "restricted"
	engineOwn  = "default" // the engine's own
)

// mostPIDs is the limit of processes and threads of a restricted container without the key pids:
// Podman's own default.
const mostPIDs = 2048

// base lists the capabilities of root in a restricted container. Package managers and builds need
// them: they own, read and give away the files of their own layer, become other users, and end
// their children. A server may have a port below 1024 of the container's own network.
var base = []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"}

// rights are the rights of a container.
type rights struct {
	add, drop []string // capabilities
	confined  bool     // no new privileges
	pids      int64
	tmpfs     map[string]string
}

var (
	capabilityName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Z][A-Z_]{1,30}$`) })
	plainName      = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`) })
	userNamespace  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(host|nomap|(auto|keep-id)(:[a-z0-9=,:]+)?)$`) })
	tmpfsSize      = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[1-9][0-9]{0,11}[KMG]?$`) })
)

// rights returns what the keys grant. Its errors name the key.
func (o *options) rights() (r rights, err error) {
	switch o.Profile {
	case "", restricted:
		r = rights{add: slices.Clone(base), drop: []string{"ALL"}, confined: !o.NewPrivileges, pids: mostPIDs}
	case engineOwn:
	default:
		return r, provider.WrongKey("profile", "", "profile = %s: not restricted or default", o.Profile)
	}
	if o.PIDs != 0 {
		r.pids = o.PIDs
	}
	if err := r.capabilities(o.Capabilities); err != nil {
		return r, err
	}
	switch {
	case o.Runtime != "" && !plainName().MatchString(o.Runtime):
		return r, provider.WrongKey("runtime", "", "runtime = %s: no name of a runtime", o.Runtime)
	case o.UserNS != "" && !userNamespace().MatchString(o.UserNS):
		return r, provider.WrongKey("userns", "", "userns = %s: not host, auto, keep-id or nomap", o.UserNS)
	case o.ReadOnly && o.CopyAgent:
		return r, provider.WrongKey(
			"read-only", "leave copy-agent out",
			"read-only = yes: the guest program cannot be copied into a root that is read-only",
		)
	}
	r.tmpfs = map[string]string{}
	for _, text := range o.Tmpfs {
		dir, size, sized := strings.Cut(text, ":")
		if !path.IsAbs(dir) || path.Clean(dir) == "/" || sized && !tmpfsSize().MatchString(size) {
			return r, provider.WrongKey("tmpfs", "tmpfs = /tmp:64M, /run", "tmpfs: %q is not PATH or PATH:SIZE", text)
		}
		r.tmpfs[path.Clean(dir)] = "rw,exec,nosuid,nodev,mode=1777"
		if sized {
			r.tmpfs[path.Clean(dir)] += ",size=" + strings.ToLower(size)
		}
	}
	return r, nil
}

// capabilities adds a list to a profile's capabilities, and takes away those with a minus.
func (r *rights) capabilities(list []string) error {
	for _, text := range list {
		name, less := strings.CutPrefix(strings.ToUpper(text), "-")
		name = strings.TrimPrefix(name, "CAP_")
		if !capabilityName().MatchString(name) {
			return provider.WrongKey(
				"capabilities", "capabilities = SYS_PTRACE, -CHOWN", "capabilities: %q is not the name of a capability",
				text,
			)
		}
		without := func(s []string) []string { return slices.DeleteFunc(s, func(n string) bool { return n == name }) }
		r.add = without(r.add)
		switch {
		case !less:
			r.add = append(r.add, name)
			r.drop = without(r.drop)
		case name == "ALL":
			r.add, r.drop = nil, []string{"ALL"}
		case !slices.Contains(r.drop, "ALL"):
			r.drop = append(without(r.drop), name)
		}
	}
	return nil
}

// limit puts a container's rights into the request for it.
func (r *rights) limit(o *options, h *hostConfig) {
	h.CapAdd, h.CapDrop, h.PidsLimit, h.Tmpfs = r.add, r.drop, r.pids, r.tmpfs
	h.ReadonlyRootfs, h.Runtime, h.UsernsMode = o.ReadOnly, o.Runtime, o.UserNS
	if r.confined {
		h.SecurityOpt = []string{"no-new-privileges"}
	}
}
