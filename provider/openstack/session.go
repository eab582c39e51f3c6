package openstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	gopher "github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack/credentials"
)

// SessionOptions limit the requests of a session. The zero value has sensible limits.
type SessionOptions struct {
	Rate    float64       // requests a second to each endpoint; 0: 20
	Burst   int           // how many at once; 0: as many as in a second
	Timeout time.Duration // for the answer to one request; 0: 60 s
	Retries int           // after the first try; 0: 4, negative: none
	MaxWait time.Duration // a longer Retry-After ends the call; 0: 60 s
	Backoff time.Duration // before the first repetition, doubled each time; 0: 500 ms
	// sends the requests; nil: a new transport. The credentials' CACert and the like count only
	// then.
	Base http.RoundTripper
}

// A Session speaks to one project of one cloud, within its limits. It logs in at the first use, and
// again when its token expires. Any number of goroutines may use it. It starts no goroutine and
// needs no Close.
type Session struct {
	cred credentials.Credentials
	http http.Client

	catalog *Catalog
	quota   *singleflight[Quota]

	mu       sync.Mutex
	services map[string]*gophercloud.ServiceClient

	turn  chan struct{} // one slot: its holder logs in
	ready chan struct{} // closed when pc is set
	pc    *gophercloud.ProviderClient
}

// NewSession makes a session. It reads the files of certificates, and calls nothing.
func NewSession(c credentials.Credentials, o SessionOptions) (*Session, error) {
	t := newTransport(o)
	if t.base == nil {
		conf, err := c.TLS()
		if err != nil {
			return nil, &compute.Error{Op: "openstack.Session", Kind: compute.ErrInvalid, Err: err}
		}
		base := http.DefaultTransport.(*http.Transport).Clone()
		base.TLSClientConfig, base.MaxIdleConnsPerHost, base.IdleConnTimeout = conf, 16, 30*time.Second
		t.base = base
	}
	s := &Session{
		cred: c, http: http.Client{Transport: t, CheckRedirect: stays},
		services: map[string]*gophercloud.ServiceClient{}, turn: make(chan struct{}, 1), ready: make(chan struct{}),
	}
	s.catalog, s.quota = newCatalog(s), newSingleflight(s.askQuota)
	return s, nil
}

// mostRedirects is how many redirects of a service are followed.
const mostRedirects = 5

// stays allows redirects only within the service: requests have the password or the token in them.
func stays(next *http.Request, before []*http.Request) error {
	was := before[0].URL
	switch {
	case next.URL.Scheme != was.Scheme || next.URL.Host != was.Host:
		return fmt.Errorf("it sends the request on to %s://%s, and what is asked is for no other", next.URL.Scheme, next.URL.Host)
	case len(before) > mostRedirects:
		return fmt.Errorf("it sends the request on more than %d times", mostRedirects)
	}
	return nil
}

// Catalog returns what the cloud offers the project.
func (s *Session) Catalog() *Catalog { return s.catalog }

// From returns where its credentials were read: "cloud lab of /etc/openstack/clouds.yaml".
func (s *Session) From() string { return s.cred.From }

// Region returns the region that was asked for. "": the only one.
func (s *Session) Region() string { return s.cred.Region }

// CloseIdle closes unused connections.
func (s *Session) CloseIdle() { s.http.CloseIdleConnections() }

// CloseIdleConnections is the method that http.Client looks for.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// client returns the session's client, logged in.
func (s *Session) client(ctx context.Context) (*gophercloud.ProviderClient, error) {
	select {
	case <-s.ready:
		return s.pc, nil
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, Classify("Session", "", ctx.Err())
	}
	defer func() { <-s.turn }()
	select {
	case <-s.ready:
		return s.pc, nil
	default:
	}
	pc, err := gopher.NewClient(s.cred.Auth.IdentityEndpoint)
	if err != nil {
		return nil, &compute.Error{
			Op: "openstack.Session", Kind: compute.ErrInvalid,
			Err: fmt.Errorf("auth_url %s: %w", s.cred.Auth.IdentityEndpoint, err),
		}
	}
	pc.HTTPClient = s.http
	pc.UserAgent.Prepend("hostler")
	if err := gopher.Authenticate(ctx, pc, s.cred.Auth); err != nil {
		err = astray(Classify("Session", "", err))
		var ours *compute.Error
		if errors.As(err, &ours) {
			ours.Err = fmt.Errorf("log in with %s: %w", s.cred.From, ours.Err)
		}
		return nil, err
	}
	s.pc = pc
	close(s.ready)
	return pc, nil
}

// service returns the client of a service. Each caller gets a copy.
func (s *Session) service(
	ctx context.Context, name string,
	f func(*gophercloud.ProviderClient, gophercloud.EndpointOpts) (*gophercloud.ServiceClient, error),
) (*gophercloud.ServiceClient, error) {
	pc, err := s.client(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	c := s.services[name]
	s.mu.Unlock()
	if c != nil {
		own := *c // callers set the microversion of their own copy
		return &own, nil
	}
	c, err = f(pc, gophercloud.EndpointOpts{Region: s.cred.Region, Availability: s.cred.Availability})
	if err != nil {
		var none *gophercloud.ErrEndpointNotFound
		var none2 gophercloud.ErrEndpointNotFound
		if errors.As(err, &none) || errors.As(err, &none2) {
			err = fmt.Errorf("%w in region %s", ErrNoService, cmp.Or(s.cred.Region, "of no name"))
		}
		return nil, &compute.Error{
			Op: "openstack.Session", Kind: compute.ErrInvalid, Err: fmt.Errorf("%s: %w", name, err),
			Hint: "see whether region is right",
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.services[name] = c // finding it takes a request
	own := *c
	return &own, nil
}

// ErrNoService says that a cloud does not have a service, such as block storage, or not in this
// region.
var ErrNoService = errors.New("the cloud has no such service")

// Compute returns the client for servers, flavors, key pairs, server groups and limits.
func (s *Session) Compute(ctx context.Context) (*gophercloud.ServiceClient, error) {
	return s.service(ctx, "compute", gopher.NewComputeV2)
}

// Network returns the client for networks, ports, routers, security groups and floating IPs.
func (s *Session) Network(ctx context.Context) (*gophercloud.ServiceClient, error) {
	return s.service(ctx, "network", gopher.NewNetworkV2)
}

// Images returns the client for images.
func (s *Session) Images(ctx context.Context) (*gophercloud.ServiceClient, error) {
	return s.service(ctx, "image", gopher.NewImageV2)
}

// Volumes returns the client for block storage. ErrNoService: the cloud has none.
func (s *Session) Volumes(ctx context.Context) (*gophercloud.ServiceClient, error) {
	return s.service(ctx, "volume", gopher.NewBlockStorageV3)
}

// Metal returns the client for bare-metal nodes. It uses the oldest microversion by default.
func (s *Session) Metal(ctx context.Context) (*gophercloud.ServiceClient, error) {
	return s.service(ctx, "baremetal", gopher.NewBareMetalV1)
}

// Project returns the id and the name of the session's project.
func (s *Session) Project(ctx context.Context) (id, name string, err error) {
	pc, err := s.client(ctx)
	if err != nil {
		return "", "", err
	}
	r, ok := pc.GetAuthResult().(tokens.CreateResult)
	if !ok {
		return "", "", &compute.Error{
			Op: "openstack.Project", Kind: compute.ErrInvalid,
			Err: errors.New("the log-in was not by version 3 of the identity service"),
		}
	}
	p, err := r.ExtractProject()
	if err != nil {
		return "", "", Classify("Project", "", err)
	}
	if p == nil {
		return "", "", &compute.Error{
			Op: "openstack.Project", Kind: compute.ErrInvalid, Err: errors.New("the credentials are for no project"),
		}
	}
	return p.ID, p.Name, nil
}
