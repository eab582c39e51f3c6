package catalog

import (
	"context"

	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/remote/agent"
)

// Site is what a provider is told besides its own keys.
type Site struct {
	Source, Type, Installation string
	Dir                        string // the source's own directory for what its provider keeps
	Keys                       string // the directory of the keys of deployments

	// Requested says that the image comes from the requests, or from the source for all kinds. The
	// section need not name one.
	Requested bool

	Agent       agent.Finder   // finds the guest side
	Images      string         // the directory of the store of images; "": there is none
	ImageLimits image.Limits   // for the images that are unpacked there
	Registry    image.Registry // knows registries of images
	Others      *image.Others  // how requested images are fetched; nil: as the owner's

	Dirs

	// Note reads one of the notes that the store keeps; a missing one is compute.ErrNotFound.
	Note func(ctx context.Context, name string) (text string, err error)
	// Secret resolves a reference to a secret. ok reports whether the text is a reference.
	Secret func(ctx context.Context, text string) (secret string, ok bool, err error)
}

// Dirs are the directories of the user that this process runs as. An empty one does not exist.
type Dirs struct {
	Home    string
	State   []string // hostler's own directories, which no sandbox sees
	Network string   // what is kept of networks
	Masks   string   // a place in memory for the covers that hide secrets
	Answers []string // the command that answers for the names of a network
}
