package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/provider/chroot"
	"github.com/hostler-project/hostler/provider/container"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/exec"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/provider/ironic"
	"github.com/hostler-project/hostler/provider/kubernetes"
	"github.com/hostler-project/hostler/provider/local"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/sandbox"
	"github.com/hostler-project/hostler/provider/sshhost"
	"github.com/hostler-project/hostler/provider/vm"
)

// Site is what a provider is told beside its own keys.
type Site struct {
	Source, Type, Installation string
	// the source's own directory for what its provider keeps
	Dir    string
	images image.Limits // of images that are unpacked
	// how images are fetched that requests name; nil: as the owner's
	others *image.Others
	// instances are made by requests that say their image, or the source says it for all types: its
	// section need not
	Requested bool
}

// kind is a type of source.
type kind struct {
	keys func() []string // of its section
	// of their values, as far as they can be judged without opening anything
	Check func(decode func(any) error) error
	// at what they name on this machine: what may be meant so, and what is wrong. They are good
	Look func(decode func(any) error, s Site) (odd []string, err error)
	open func(ctx context.Context, log *slog.Logger, s Site, decode func(any) error) (compute.Provider, error)
	slow bool // cleaning and discarding take long enough to leave them to the keeper
	// so does opening a connection: the keeper has it open already, or keeps it open for the next
	// command
	dear bool

	here  bool // its computers are made on this machine, and have no GPUs
	binds bool // the size in its section is the most that each computer gets, the owner's too
	grows bool // a computer is made as large as a request asks for
}

// Kinds is the table of providers.
func Kinds() map[string]kind {
	all := map[string]kind{
		"chroot": here(slow(open(chroot.Open, func(o *chroot.Options, s Site) {
			o.Source, o.Installation, o.Dir, o.Others = s.Source, s.Installation, s.Dir, s.others
			o.Home, o.Images = imageDirs()
			o.ImageLimits = s.images
		}))),
		"local": open(local.Open, func(o *local.Options, s Site) { o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir }),
		"fake":  open(fake.Open, func(o *fake.Options, s Site) { o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir }),
		"sandbox": here(binds(slow(open(sandbox.Open, func(o *sandbox.Options, s Site) {
			o.Source, o.Installation, o.Dir, o.Agent, o.Others = s.Source, s.Installation, s.Dir, FindAgent, s.others
			SandboxDirs(o)
			o.ImageLimits = s.images
		})))),
		"container": here(binds(dear(slow(open(container.Open, func(o *container.Options, s Site) {
			o.Source, o.Installation, o.Dir, o.Agent, o.Others = s.Source, s.Installation, s.Dir, FindAgent, s.others
		}))))),
		"vm": here(binds(grows(slow(open(vm.Open, func(o *vm.Options, s Site) {
			o.Source, o.Installation, o.Dir, o.Agent, o.Others = s.Source, s.Installation, s.Dir, FindAgent, s.others
			o.Home, o.Images = imageDirs()
			o.ImageLimits = s.images
		}))))),
		"ec2": grows(dear(slow(open(ec2.Open, func(o *ec2.Options, s Site) {
			o.Source, o.Installation, o.Dir, o.Agent = s.Source, s.Installation, s.Dir, FindAgent
		})))),
		"openstack": grows(dear(slow(open(openstack.Open, func(o *openstack.Options, s Site) {
			o.Source, o.Installation, o.Dir, o.Agent = s.Source, s.Installation, s.Dir, FindAgent
		})))),
		"ironic": grows(dear(slow(open(ironic.Open, func(o *ironic.Options, s Site) {
			o.Source, o.Installation, o.Dir, o.Agent = s.Source, s.Installation, s.Dir, FindAgent
		})))),
		"kubernetes": grows(dear(slow(open(kubernetes.Open, func(o *kubernetes.Options, s Site) {
			o.Source, o.Installation, o.Dir, o.Agent, o.Requested, o.Others = s.Source, s.Installation, s.Dir, FindAgent, s.Requested, s.others
		})))),
		"ssh": dear(open(openSSH, func(o *SSHKeys, s Site) { o.site = s })),
	}
	return all
}

// open makes a kind of a constructor and of what puts the site into its Options, which can be
// checked without anything being opened.
func open[O interface{ Check() error }, P compute.Provider](
	f func(context.Context, *slog.Logger, O) (P, error), place func(*O, Site),
) kind {
	return kind{
		keys: func() []string { return config.Keys(new(O)) },
		Check: func(decode func(any) error) error {
			var o O
			if err := decode(&o); err != nil {
				return err
			}
			place(&o, Site{})
			return o.Check()
		},
		Look: func(decode func(any) error, s Site) ([]string, error) {
			var o O
			if err := decode(&o); err != nil {
				return nil, err
			}
			place(&o, s)
			if l, ok := any(o).(interface{ Look() ([]string, error) }); ok {
				return l.Look()
			}
			return nil, nil
		},
		open: func(ctx context.Context, log *slog.Logger, s Site, decode func(any) error) (compute.Provider, error) {
			var o O
			if err := decode(&o); err != nil { // an unknown key is an error
				return nil, ConfigError(err)
			}
			place(&o, s)
			p, err := f(ctx, log, o)
			if err != nil {
				return nil, err // not p: a typed nil is not nil
			}
			return p, nil
		},
	}
}

// SSHKeys are the keys of a source of type ssh: crcache's ssh_host, or several hosts; a host is
// written as for ssh.
type SSHKeys struct {
	SSHHost    []string      `conf:"ssh_host"`
	Hosts      []string      `conf:"hosts"`
	ConfigFile string        `conf:"config-file"` // read in place of OpenSSH's own
	Timeout    time.Duration `conf:"timeout"`     // for reaching a host
	KeepAlive  time.Duration `conf:"keep-alive"`  // a silent connection is asked so often

	site Site
}

func (k SSHKeys) options() sshhost.Options {
	return sshhost.Options{
		Source: k.site.Source, Installation: k.site.Installation, Dir: k.site.Dir,
		Hosts: append(k.SSHHost, k.Hosts...), ConfigFile: k.ConfigFile, Timeout: k.Timeout, KeepAlive: k.KeepAlive, Agent: FindAgent,
	}
}

// Check says what is wrong with them.
func (k SSHKeys) Check() error { return k.named(k.options().Check()) }

// named has an error name the key that the hosts were given by.
func (k SSHKeys) named(err error) error {
	if wrong, ok := errors.AsType[*compute.KeyError](err); ok && len(k.SSHHost) == 0 && len(k.Hosts) > 0 {
		wrong.Key = "hosts"
	}
	return err
}

func openSSH(ctx context.Context, log *slog.Logger, k SSHKeys) (*sshhost.Provider, error) {
	p, err := sshhost.Open(ctx, log, k.options())
	return p, k.named(err)
}

// slow marks a kind whose instances are many files to remove.
func slow(k kind) kind {
	k.slow = true
	return k
}

// dear marks a kind whose connections take long to open.
func dear(k kind) kind {
	k.dear = true
	return k
}

// here marks a kind whose computers are made on this machine.
func here(k kind) kind {
	k.here = true
	return k
}

// binds marks a kind whose computers get at most the size in their section.
func binds(k kind) kind {
	k.binds = true
	return k
}

// grows marks a kind whose computers are as large as requests ask for.
func grows(k kind) kind {
	k.grows = true
	return k
}

// SlowToConnect reports whether a type's connections are the keeper's.
func SlowToConnect(typ string) bool { return Kinds()[typ].dear }

// TypeKeys has the known types with the keys of their sections, as config wants them.
func TypeKeys() map[string][]string {
	out := map[string][]string{}
	for name, k := range Kinds() {
		out[name] = k.keys()
	}
	return out
}

// TypeNames lists the known types, pool too.
func TypeNames() []string {
	names := []string{"pool"}
	for name := range Kinds() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// openExternal asks the executable hostler-source-TYPE to be the provider. References to secrets
// are followed here, at the last moment.
func openExternal(ctx context.Context, log *slog.Logger, s Site, settings map[string]string) (compute.Provider, error) {
	o := exec.Options{Type: s.Type, Source: s.Source, Installation: s.Installation, Dir: s.Dir, Settings: map[string]string{}}
	for key, value := range settings {
		if config.IsReference(value) {
			secret, err := config.Secret(ctx, value)
			if err != nil {
				return nil, ConfigError(fmt.Errorf("source %s: %s: %w", s.Source, key, err))
			}
			value = secret
			o.Secrets = append(o.Secrets, secret)
		}
		o.Settings[key] = value
	}
	p, err := exec.Open(ctx, log, o)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// SiteOf is where a source's provider is.
func SiteOf(state, name, typ, installation string) Site {
	return Site{Source: name, Type: typ, Installation: installation, Dir: filepath.Join(state, "instances", name, "computers")}
}
