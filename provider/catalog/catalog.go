package catalog

import (
	"context"
	"log/slog"
	"runtime"
	"slices"

	"github.com/hostler-project/hostler/compute"
)

// Kind describes a kind of source. New fills the functions that follow from Options.
type Kind struct {
	Name string // the value of `type` in a source
	Traits

	// TopKeys are the kind's keys that stand at the top of a source, beside the keys of all kinds.
	TopKeys []string
	// Tree says for each key what somebody else's tree may set without approval.
	Tree []Rule
	// Suspect says what is dangerous in a value, beyond what Tree says of its key. "" means
	// nothing; nil means that no value is dangerous.
	Suspect func(key, value string) string
	// Remote are the keys of the section that a user may set when applying a source to a controller
	// from afar. They say what the instances are. None of them runs, reads or shows something on
	// the controller's machine. None makes it speak to an address that its own user did not name.
	// nil: only the controller's own user may have such sources.
	Remote []string
	// Apart are the keys whose change makes an instance belong to another source. They say where it
	// is, what confines it and what it may reach. The kind itself tells how each instance was made.
	// nil: all keys.
	Apart []string
	// Follows are the keys whose values name programs or further files.
	Follows []string
	// Others reports whether callers other than the controller's own user may have an instance with
	// an image; "": the kind's usual one. They may not if the instance is the controller's machine,
	// shows that user's files, or lets its root be root there. nil: they may not.
	Others func(settings map[string]string, image string) bool
	// Needs names a required key that is missing, and what it should hold. key is "" if none is
	// missing; nil: no key is required.
	Needs func(settings map[string]string) (key, what string)
	// LeadsTo says in words where the commands of such a source run.
	LeadsTo func(settings map[string]string) string
	// Show returns the settings with which a source's instances show a directory of this machine at
	// its own path. nil: no such source can, for the reason in ShowsNone.
	Show func(settings map[string]string, dir Directory) map[string]string
	// Pack changes a copy of the settings for an instance that becomes an image. nil: nothing is
	// changed.
	Pack func(settings map[string]string)
	// LocalImage reports whether an image is made of files of this machine. nil: no image is.
	LocalImage func(image string) bool

	// Options returns a pointer to a new struct with the keys of the kind's section.
	Options func() any
	// Check judges the values of the keys and opens nothing. A path may begin at the site's home.
	Check func(Decode, Site) error
	// Look judges what the values name on this machine. odd lists what may be intended or a
	// mistake.
	Look func(Decode, Site) (odd []string, err error)
	// Open makes the provider.
	Open func(context.Context, *slog.Logger, Site, Decode) (compute.Provider, error)
	// Examine tests what makes the instances on this machine. nil: there is nothing to test.
	Examine func(context.Context, Site) []compute.Finding
	// Complete adds the settings that follow from the given ones. nil: it adds none.
	Complete func(ctx context.Context, s Site, settings map[string]string) (map[string]string, error)
}

// Directory is a directory of this machine that instances are to show.
type Directory struct {
	Path     string
	ReadOnly bool
	Writable []string // paths below a read-only directory that commands may write to
}

// Mode returns how the directory is mounted, in the words of settings: ro or rw.
func (d Directory) Mode() string {
	if d.ReadOnly {
		return "ro"
	}
	return "rw"
}

// Traits are what the other packages have to know of the instances of a kind.
type Traits struct {
	// Pool says that the kind takes its instances from other sources. It has no provider of its
	// own.
	Pool bool
	// External says that the kind is an executable of the user's. One description serves all of
	// them.
	External bool

	// Itself says that commands run on this machine, with nothing in between.
	Itself bool
	// BuiltIn says that a source with the kind's name exists without configuration.
	BuiltIn bool
	// Linux says that only Linux can make the instances.
	Linux bool
	// HostRoot says that instances may have this machine's own root, as the image "host".
	HostRoot bool
	// SSH says that the instances are the user's own hosts, reached by ssh and named as in the
	// configuration of OpenSSH. They may be far away, and get our agent only if it is needed.
	SSH bool
	// Costs says that instances cost money, so every key counts in an approval.
	Costs bool
	// Formerly is the kind's name in crcache, if it had another.
	Formerly string
	// NoRebuild is what `reuse` offers in place of rebuild, if the kind cannot rebuild. "": it can.
	NoRebuild string

	// Slow says that cleaning and discarding are slow, so the keeper does them.
	Slow bool
	// Dear says that connections are expensive, so the keeper holds them open for the next command.
	Dear bool

	// Here says that the computers are made on this machine and have no GPUs.
	Here bool
	// Binds says that no instance exceeds the size in the section, not even one for the owner.
	Binds bool
	// Grows says that an instance is made as large as a request asks for.
	Grows bool

	// Declares says that the section declares the size that each instance reports.
	Declares bool
	// Ahead is the key that makes the kind itself create instances ahead of need. "": there is
	// none.
	Ahead string
	// Tally says that the requests of each image are counted: docs/director-metal.md.
	Tally bool

	// ShowsNone says why the instances show no directory of this machine, if it is not plain from
	// the other traits.
	ShowsNone string
}

// Implicit reports whether a source with the kind's name exists on this system without
// configuration.
func (t Traits) Implicit() bool { return t.BuiltIn && (!t.Linux || runtime.GOOS == "linux") }

// WhyNot says why the instances cannot show a directory of this machine.
func (k *Kind) WhyNot() string {
	switch {
	case k.ShowsNone != "":
		return k.ShowsNone
	case k.Pool:
		return "a pool has computers of several sources"
	case k.SSH || k.Costs:
		return "its computers are elsewhere"
	}
	return "sources of type " + k.Name + " cannot show a directory of this machine"
}

// Everybody says that callers other than the controller's own user may have the instances.
func Everybody(map[string]string, string) bool { return true }

// OwnUser says that the instances are for the controller's own user alone.
func OwnUser(map[string]string, string) bool { return false }

// Decode fills a struct with the values of a section. An unknown key is an error.
type Decode func(options any) error

// New completes a description with the functions that follow from the kind's Options. The function
// place puts the site into the options, and open makes the provider.
func New[O interface{ Check() error }, P compute.Provider](
	k Kind, open func(context.Context, *slog.Logger, O) (P, error), place func(*O, Site),
) *Kind {
	k.Options = func() any { return new(O) }
	read := func(decode Decode, s Site) (o O, err error) {
		if err = decode(&o); err == nil { // an unknown key is an error
			place(&o, s)
		}
		return o, err
	}
	k.Check = func(decode Decode, s Site) error {
		o, err := read(decode, s)
		if err != nil {
			return err
		}
		return o.Check()
	}
	k.Look = func(decode Decode, s Site) ([]string, error) {
		o, err := read(decode, s)
		if err != nil {
			return nil, err
		}
		if l, ok := any(o).(interface{ Look() ([]string, error) }); ok {
			return l.Look()
		}
		return nil, nil
	}
	k.Open = func(ctx context.Context, log *slog.Logger, s Site, decode Decode) (compute.Provider, error) {
		o, err := read(decode, s)
		if err != nil {
			return nil, err
		}
		p, err := open(ctx, log, o)
		if err != nil {
			return nil, err // not p: a typed nil is not nil
		}
		return p, nil
	}
	return &k
}

// Table holds the kinds of a program.
type Table []*Kind

// Find returns the kind with a name, and whether the table has it.
func (t Table) Find(name string) (*Kind, bool) {
	i := slices.IndexFunc(t, func(k *Kind) bool { return k.Name == name && !k.External })
	if i < 0 {
		return nil, false
	}
	return t[i], true
}

// Kind returns the kind with a name. A name that the table does not have means an executable of the
// user's.
func (t Table) Kind(name string) *Kind {
	if k, ok := t.Find(name); ok {
		return k
	}
	out := Kind{Traits: Traits{External: true}}
	if i := slices.IndexFunc(t, func(k *Kind) bool { return k.External }); i >= 0 {
		out = *t[i]
	}
	out.Name = name
	return &out
}

// Names lists the names of the kinds for which good returns true.
func (t Table) Names(good func(*Kind) bool) (names []string) {
	for _, k := range t {
		if !k.External && good(k) {
			names = append(names, k.Name)
		}
	}
	return names
}
