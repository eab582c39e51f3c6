package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/image/oci"
	"github.com/hostler-project/hostler/image/resume"
)

// Fetch brings an image of a registry into a store.
func (Client) Fetch(ctx context.Context, s *image.Store, r image.Reference, opt image.PullOptions) (image.Image, error) {
	img, err := fetch(ctx, s, r, opt)
	return img, refusal(r.Registry, err)
}

// refusal shows an answer of a registry, or that there was none, to those who know no library.
func refusal(of image.Name, err error) error {
	if answer := (*transport.Error)(nil); errors.As(err, &answer) {
		return &image.Refusal{Status: answer.StatusCode, Err: err}
	}
	at := "the registry " + of.Host
	switch dns := (*net.DNSError)(nil); {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.Reworded(at+" refuses the connection", err)
	case errors.As(err, &dns) && (dns.IsNotFound || dns.IsTemporary):
		return fault.Reworded(at+": its name does not resolve: is there a network?", err)
	}
	return err
}

// fetch uses the guard of Others for an image that a request has named, and else the store's. A
// download may stall for a minute by default.
func fetch(ctx context.Context, s *image.Store, r image.Reference, opt image.PullOptions) (image.Image, error) {
	ref, err := reference(r.Registry)
	if err != nil {
		return image.Image{}, err
	}
	o := s.Options()
	stall := o.Stall
	if stall <= 0 {
		stall = time.Minute
	}
	base := remote.DefaultTransport.(*http.Transport).Clone()
	way := http.RoundTripper(base)
	if o.Others.Named(ctx, r.Asked) {
		way = o.Others.Guard.Transport(base)
	} else if o.Guard != nil {
		way = o.Guard.Transport(base)
	}
	defer (&http.Client{Transport: way}).CloseIdleConnections()
	puller, err := remote.NewPuller(
		remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("hostler"),
		remote.WithTransport(&resume.Transport{Inner: way, Stall: stall, Tries: 5}), remote.WithJobs(16),
	)
	if err != nil {
		return image.Image{}, err
	}
	top, err := puller.Get(ctx, ref)
	if err != nil {
		return image.Image{}, err
	}
	d := oci.Descriptor{
		MediaType: oci.MediaType(top.MediaType), Size: top.Size, Digest: oci.Digest(top.Digest), Data: top.Manifest,
	}
	return s.Import(ctx, r, content{puller, ref.Context()}, d, opt)
}

// content reads the blobs and manifests of a repository.
type content struct {
	puller *remote.Puller
	repo   name.Repository
}

// Open opens a blob or manifest.
func (c content) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
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
