package provider

import (
	"context"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/remote/agent"
)

// Site is what a provider is told beside its own keys.
type Site struct {
	Source, Type, Installation string
	Dir                        string // the source's own directory for what its provider keeps
	Keys                       string // the directory of the keys of deployments

	// Requested instances are made by requests that say their image, or the source says it for all
	// kinds: the section need not.
	Requested bool

	Agent       agent.Finder  // finds the guest side
	Images      string        // the store of images; "": there is none
	ImageLimits image.Limits  // of images that are unpacked there
	Others      *image.Others // how images are fetched that requests name; nil: as the owner's

	Dirs

	// View reads the store.
	View func(context.Context, func(compute.Tx) error) error
	// Secret resolves a reference to a secret; ok: the text is one.
	Secret func(ctx context.Context, text string) (secret string, ok bool, err error)
}

// Dirs are the directories of the user whose process this is.
type Dirs struct {
	Home    string   // "": there is none
	State   []string // hostler's own, which no sandbox sees
	Network string   // what is kept of networks; "": there is no place
	Masks   string   // in memory, for what hides secrets; "": there is none
	Answers []string // the command that answers for names of a network; none: there is none
}
