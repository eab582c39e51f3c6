package main

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
	"github.com/hostler-project/hostler/host"
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

// site is what a provider is told beside its own keys.
type site struct {
	source, typ, installation string
	// the source's own directory for what its provider keeps
	dir    string
	images image.Limits // of images that are unpacked
	// how images are fetched that requests name; nil: as the owner's
	others *image.Others
	// instances are made by requests that say their image, or the source says it for all types: its
	// section need not
	requested bool
}

// kind is a type of source.
type kind struct {
	keys func() []string // of its section
	// of their values, as far as they can be judged without opening anything
	check func(decode func(any) error) error
	// at what they name on this machine: what may be meant so, and what is wrong. They are good
	look func(decode func(any) error, s site) (odd []string, err error)
	open func(ctx context.Context, log *slog.Logger, s site, decode func(any) error) (compute.Provider, error)
	slow bool // cleaning and discarding take long enough to leave them to the keeper
	// so does opening a connection: the keeper has it open already, or keeps it open for the next
	// command
	dear bool

	here  bool // its computers are made on this machine, and have no GPUs
	binds bool // the size in its section is the most that each computer gets, the owner's too
	grows bool // a computer is made as large as a request asks for
}

// kinds is the table of providers.
func kinds() map[string]kind {
	all := map[string]kind{
		"chroot": here(slow(open(chroot.Open, func(o *chroot.Options, s site) {
			o.Source, o.Installation, o.Dir, o.Others = s.source, s.installation, s.dir, s.others
			o.Home, o.Images = host.ImageDirs()
			o.ImageLimits = s.images
		}))),
		"local": open(local.Open, func(o *local.Options, s site) { o.Source, o.Installation, o.Dir = s.source, s.installation, s.dir }),
		"fake":  open(fake.Open, func(o *fake.Options, s site) { o.Source, o.Installation, o.Dir = s.source, s.installation, s.dir }),
		"sandbox": here(binds(slow(open(sandbox.Open, func(o *sandbox.Options, s site) {
			o.Source, o.Installation, o.Dir, o.Agent, o.Others = s.source, s.installation, s.dir, host.FindAgent, s.others
			host.SandboxDirs(o)
			o.ImageLimits = s.images
		})))),
		"container": here(binds(dear(slow(open(container.Open, func(o *container.Options, s site) {
			o.Source, o.Installation, o.Dir, o.Agent, o.Others = s.source, s.installation, s.dir, host.FindAgent, s.others
		}))))),
		"vm": here(binds(grows(slow(open(vm.Open, func(o *vm.Options, s site) {
			o.Source, o.Installation, o.Dir, o.Agent, o.Others = s.source, s.installation, s.dir, host.FindAgent, s.others
			o.Home, o.Images = host.ImageDirs()
			o.ImageLimits = s.images
		}))))),
		"ec2": grows(dear(slow(open(ec2.Open, func(o *ec2.Options, s site) {
			o.Source, o.Installation, o.Dir, o.Agent = s.source, s.installation, s.dir, host.FindAgent
		})))),
		"openstack": grows(dear(slow(open(openstack.Open, func(o *openstack.Options, s site) {
			o.Source, o.Installation, o.Dir, o.Agent = s.source, s.installation, s.dir, host.FindAgent
		})))),
		"ironic": grows(dear(slow(open(ironic.Open, func(o *ironic.Options, s site) {
			o.Source, o.Installation, o.Dir, o.Agent = s.source, s.installation, s.dir, host.FindAgent
		})))),
		"kubernetes": grows(dear(slow(open(kubernetes.Open, func(o *kubernetes.Options, s site) {
			o.Source, o.Installation, o.Dir, o.Agent, o.Requested, o.Others = s.source, s.installation, s.dir, host.FindAgent, s.requested, s.others
		})))),
		"ssh": dear(open(openSSH, func(o *sshKeys, s site) { o.site = s })),
	}
	return all
}

// examiners try the engines that make computers on this machine; each looks at what it can do here
// as this user.
func examiners() []func(context.Context) []compute.Finding {
	return []func(context.Context) []compute.Finding{
		func(ctx context.Context) []compute.Finding {
			o := sandbox.Options{Installation: "doctor", Dir: "/tmp", Agent: host.FindAgent}
			host.SandboxDirs(&o)
			return sandbox.Examine(ctx, o)
		},
		examineNetwork,
		func(ctx context.Context) []compute.Finding {
			dir, err := host.CacheDir()
			if err != nil {
				return nil // said elsewhere
			}
			return image.Examine(ctx, filepath.Join(dir, "images"))
		},
		func(ctx context.Context) []compute.Finding { return container.Examine(ctx, host.FindAgent) },
		func(ctx context.Context) []compute.Finding { return vm.Examine(ctx, vm.Options{Agent: host.FindAgent}) },
	}
}

// open makes a kind of a constructor and of what puts the site into its Options, which can be
// checked without anything being opened.
func open[O interface{ Check() error }, P compute.Provider](
	f func(context.Context, *slog.Logger, O) (P, error), place func(*O, site),
) kind {
	return kind{
		keys: func() []string { return config.Keys(new(O)) },
		check: func(decode func(any) error) error {
			var o O
			if err := decode(&o); err != nil {
				return err
			}
			place(&o, site{})
			return o.Check()
		},
		look: func(decode func(any) error, s site) ([]string, error) {
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
		open: func(ctx context.Context, log *slog.Logger, s site, decode func(any) error) (compute.Provider, error) {
			var o O
			if err := decode(&o); err != nil { // an unknown key is an error
				return nil, configError(err)
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

// sshKeys are the keys of a source of type ssh: crcache's ssh_host, or several hosts; a host is
// written as for ssh.
type sshKeys struct {
	SSHHost    []string      `conf:"ssh_host"`
	Hosts      []string      `conf:"hosts"`
	ConfigFile string        `conf:"config-file"` // read in place of OpenSSH's own
	Timeout    time.Duration `conf:"timeout"`     // for reaching a host
	KeepAlive  time.Duration `conf:"keep-alive"`  // a silent connection is asked so often

	site site
}

func (k sshKeys) options() sshhost.Options {
	return sshhost.Options{
		Source: k.site.source, Installation: k.site.installation, Dir: k.site.dir,
		Hosts: append(k.SSHHost, k.Hosts...), ConfigFile: k.ConfigFile, Timeout: k.Timeout, KeepAlive: k.KeepAlive, Agent: host.FindAgent,
	}
}

// Check says what is wrong with them.
func (k sshKeys) Check() error { return k.named(k.options().Check()) }

// named has an error name the key that the hosts were given by.
func (k sshKeys) named(err error) error {
	if wrong, ok := errors.AsType[*compute.KeyError](err); ok && len(k.SSHHost) == 0 && len(k.Hosts) > 0 {
		wrong.Key = "hosts"
	}
	return err
}

func openSSH(ctx context.Context, log *slog.Logger, k sshKeys) (*sshhost.Provider, error) {
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

// isDear reports whether a type's connections are the keeper's.
func isDear(typ string) bool { return kinds()[typ].dear }

// typeKeys has the known types with the keys of their sections, as config wants them.
func typeKeys() map[string][]string {
	out := map[string][]string{}
	for name, k := range kinds() {
		out[name] = k.keys()
	}
	return out
}

// typeNames lists the known types, pool too.
func typeNames() []string {
	names := []string{"pool"}
	for name := range kinds() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// openExternal asks the executable hostler-source-TYPE to be the provider. References to secrets
// are followed here, at the last moment.
func openExternal(ctx context.Context, log *slog.Logger, s site, settings map[string]string) (compute.Provider, error) {
	o := exec.Options{Type: s.typ, Source: s.source, Installation: s.installation, Dir: s.dir, Settings: map[string]string{}}
	for key, value := range settings {
		if config.IsReference(value) {
			secret, err := config.Secret(ctx, value)
			if err != nil {
				return nil, configError(fmt.Errorf("source %s: %s: %w", s.source, key, err))
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

// siteOf is where a source's provider is.
func siteOf(state, name, typ, installation string) site {
	return site{source: name, typ: typ, installation: installation, dir: filepath.Join(state, "instances", name, "computers")}
}
