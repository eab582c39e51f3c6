package image

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hostler-project/hostler/image/layer"
	"github.com/hostler-project/hostler/image/resume"
)

// openRegistry reads an image's manifest at a registry.
func (s *Store) openRegistry(ctx context.Context, r reference, opt PullOptions, o *offer) error {
	stall := s.opt.Stall
	if stall <= 0 {
		stall = time.Minute
	}
	base := remote.DefaultTransport.(*http.Transport).Clone()
	way := http.RoundTripper(base)
	if s.opt.Others.Named(ctx, r.asked) {
		way = s.opt.Others.Guard.Transport(base)
	} else if s.opt.Guard != nil {
		way = s.opt.Guard.Transport(base)
	}
	o.closers = append(o.closers, (&http.Client{Transport: way}).CloseIdleConnections)
	puller, err := remote.NewPuller(
		remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("hostler"),
		remote.WithTransport(&resume.Transport{Inner: way, Stall: stall, Tries: 5}), remote.WithJobs(16),
	)
	if err != nil {
		return err
	}
	top, err := puller.Get(ctx, r.reg)
	if err != nil {
		return err
	}
	c := registryContent{puller, r.reg.Context()}
	d := top.Descriptor
	if d.MediaType.IsIndex() {
		var index v1.IndexManifest
		if err := json.Unmarshal(top.Manifest, &index); err != nil {
			return layer.Contentf("the index cannot be read: %w", err)
		}
		if d, err = choose(ctx, r, c, index.Manifests, opt.Platform.here(), 0); err != nil {
			return err
		}
	} else {
		d.Data = top.Manifest
	}
	return o.readManifest(ctx, c, d)
}

// registryContent reads the blobs and manifests of a repository.
type registryContent struct {
	puller *remote.Puller
	repo   name.Repository
}

func (c registryContent) open(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	if d.Data != nil {
		return io.NopCloser(bytes.NewReader(d.Data)), nil
	}
	at := c.repo.Digest(d.Digest.String())
	if d.MediaType.IsImage() || d.MediaType.IsIndex() {
		m, err := c.puller.Get(ctx, at)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(bytes.NewReader(m.Manifest)), nil
	}
	l, err := c.puller.Layer(ctx, at)
	if err != nil {
		return nil, err
	}
	return l.Compressed()
}
