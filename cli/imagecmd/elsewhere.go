package imagecmd

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/pool"
)

// Besides returns the engine in this process, also if a controller uses the same store. A
// controller elsewhere has the computers and their images.
func Besides(a *cli.App, ctx context.Context) (*pool.Pool, error) {
	if _, err := a.Engine(ctx); err != nil {
		return nil, err
	}
	if a.Elsewhere() {
		return nil, &compute.Error{
			Kind: compute.ErrInvalid, Err: errElsewhere,
			Hint: "do it there, or with --embedded for a source of your own",
		}
	}
	return a.Host.Engine(ctx)
}

// keptImages returns the images to keep although no instance uses them: the promoted ones, their
// predecessors, and their bases. Each digest has its source.
func keptImages(a *cli.App, ctx context.Context, s *image.Store) (map[string]string, error) {
	if a.Elsewhere() {
		return nil, nil // the images are elsewhere
	}
	engine, err := a.Host.Engine(ctx)
	if err != nil {
		return nil, err
	}
	promoted, err := engine.Promotions(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.List()
	return host.KeptFor(promoted, all), err
}

var errElsewhere = errors.New("images are made where the computers are, and a controller elsewhere has them")
