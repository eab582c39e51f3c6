package provider

import (
	"context"
	"log/slog"
	"slices"

	"github.com/hostler-project/hostler/compute"
)

// Kind describes a kind of source.
type Kind struct {
	Name string // as `type = NAME` has it
	Traits

	// TopKeys are keys of the kind that stand at the top of a source, beside those of all kinds.
	TopKeys []string
	// Tree says of each key what a stranger's tree may set unasked.
	Tree []Rule
	// Suspect says what is dangerous in a value, beyond what Tree says of its key; "": nothing.
	// nil: nothing ever is.
	Suspect func(key, value string) string
	// Remote are the keys of the section that may be set by who applies a source to a controller
	// from afar: what its instances are, and nothing that runs, is read or is shown on the
	// controller's machine, or has it speak to what its own user did not name. nil: such sources
	// are of its own user alone.
	Remote []string
	// Apart are the keys by which an instance is of another source, where the kind tells by itself
	// what each was made like: where it is, what shuts it in, what it may reach. nil: all.
	Apart []string
	// Follows are the keys of files that name programs and further files.
	Follows []string
	// Needs says which key is missing, and what of it; "": none is. nil: none ever is.
	Needs func(settings map[string]string) (key, what string)
	// LeadsTo says in words where commands go that name such a source.
	LeadsTo func(settings map[string]string) string
	// LocalImage reports whether an image is files of this machine; nil: none is.
	LocalImage func(image string) bool

	// Options returns a pointer to a new struct with the keys of the kind's section.
	Options func() any
	// Check judges the values of the keys without opening anything.
	Check func(Decode) error
	// Look judges what the values name on this machine. odd is what may be meant so.
	Look func(Decode, Site) (odd []string, err error)
	// Open makes the provider.
	Open func(context.Context, *slog.Logger, Site, Decode) (compute.Provider, error)
	// Examine tries what makes the instances on this machine; nil: nothing does.
	Examine func(context.Context, Site) []compute.Finding
	// Complete adds the settings that follow from the given ones; nil: none do.
	Complete func(ctx context.Context, s Site, settings map[string]string) (map[string]string, error)
}

// Traits are what others have to know of the instances of a kind.
type Traits struct {
	// Pool takes its instances from other sources, and has no provider of its own.
	Pool bool
	// External is an executable of the user's; one description stands for all of them.
	External bool

	// Itself is this machine, with nothing between it and commands.
	Itself bool
	// BuiltIn has a source of the kind's name be there without configuration.
	BuiltIn bool
	// Linux makes its instances by Linux alone.
	Linux bool
	// Costs money, so every key counts in an approval.
	Costs bool
	// Formerly is the kind's name in crcache, if that was another.
	Formerly string
	// NoRebuild is what `reuse` has in place of rebuild, which the kind cannot; "": it can.
	NoRebuild string

	// Slow cleaning and discarding is left to the keeper.
	Slow bool
	// Dear connections are kept open by the keeper for the next command.
	Dear bool

	// Here makes computers on this machine, without GPUs.
	Here bool
	// Binds gives each instance at most the size in the section, the owner's too.
	Binds bool
	// Grows makes an instance as large as a request asks for.
	Grows bool

	// Declares the size of each instance in the section, as the instance tells it.
	Declares bool
	// Ahead is the key that has the kind itself make instances ahead of need; "": none has.
	Ahead string
	// Tally counts the requests of each image: docs/director-metal.md.
	Tally bool

	// Cloud has deployments: `hostler cloud deploy` knows it.
	Cloud bool
}

// Decode fills a struct with the values of a section.
type Decode func(options any) error

// New completes a description with what follows from the kind's Options: place puts the site into
// them, and open makes the provider.
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
	k.Check = func(decode Decode) error {
		o, err := read(decode, Site{})
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

// Table has the kinds of a program.
type Table []*Kind

// Find returns the kind of a name that the table has.
func (t Table) Find(name string) (*Kind, bool) {
	i := slices.IndexFunc(t, func(k *Kind) bool { return k.Name == name && !k.External })
	if i < 0 {
		return nil, false
	}
	return t[i], true
}

// Kind returns the kind of a name: of one that the table does not have an executable of the user's.
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

// Names lists the names of those kinds that a test finds good.
func (t Table) Names(good func(*Kind) bool) (names []string) {
	for _, k := range t {
		if !k.External && good(k) {
			names = append(names, k.Name)
		}
	}
	return names
}
