package kubernetes

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/kubernetes/kubeconfig"
	"github.com/hostler-project/hostler/provider/kubernetes/podexec"
)

// The kinds of objects that every source may ask for.
var (
	pods     = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	events   = schema.GroupVersionResource{Version: "v1", Resource: "events"}
	policies = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}
)

// cluster is a namespace of a cluster. All providers of this process whose sources are there share
// it, with one client and one watch for each kind of object.
type cluster struct {
	key       string
	o         Options // of the first source
	log       *slog.Logger
	namespace string // set by the first call of ask, and never changed

	// held while the configuration is read, which may hang: its files may be on a dead file system.
	// No holder of mu waits for it.
	reading sync.Mutex

	mu     sync.Mutex         // held for moments only, as transactions of the store call Fit
	client *kubeconfig.Client // nil: not made yet
	place  kubeconfig.Place   // where the first configuration led; later ones must lead there
	uid    string             // the namespace's uid; "": not asked for yet
	// when reading the namespace was last forbidden; zero: never to this user
	barred time.Time
	users  int

	watches map[watched]*watch
	over    atomic.Bool // the last source has left
	unheard atomic.Bool // the last call had no answer

	heeding sync.Mutex
	heeds   map[*func()]bool // called when there is news
}

// clusters are the clusters that are open in this process.
var clusters = struct {
	sync.Mutex
	open map[string]*cluster
}{open: map[string]*cluster{}}

// join returns the cluster of a source. The caller gives it back with leave.
func join(log *slog.Logger, o Options) *cluster {
	// Where a configuration leads is known only after reading it. Two spellings of the same place
	// cost a second watch and nothing else.
	key := fmt.Sprintf("%q %q %q %q %q", o.Kubeconfig, os.Getenv("KUBECONFIG"), o.Context, o.Namespace, o.Installation)
	clusters.Lock()
	defer clusters.Unlock()
	c := clusters.open[key]
	if c == nil {
		c = &cluster{key: key, o: o, log: log, watches: map[watched]*watch{}}
		clusters.open[key] = c
	}
	c.users++
	return c
}

// leave ends a source's use. The last source to leave ends the watches.
func (c *cluster) leave() {
	clusters.Lock()
	c.users--
	last := c.users == 0
	if last {
		delete(clusters.open, c.key)
	}
	clusters.Unlock()
	if last {
		c.over.Store(true) // from now on no watch starts
		c.mu.Lock()
		all := slices.Collect(maps.Values(c.watches))
		c.mu.Unlock()
		for _, w := range all {
			w.close()
		}
	}
}

// watched says what a watch is of: the objects of a kind that have this installation in a label.
type watched struct {
	gvr   schema.GroupVersionResource
	label string
}

// watch returns the watch of a kind and label.
func (c *cluster) watch(gvr schema.GroupVersionResource, label string) *watch {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := watched{gvr, label}
	w := c.watches[of]
	if w == nil {
		w = newWatch(c, of)
		c.watches[of] = w
	}
	return w
}

// leadsTo reports whether the configuration is known to lead to a place. It reads nothing.
func (c *cluster) leadsTo(at kubeconfig.Place) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client != nil && c.client.Place == at
}

// ask returns the client, made of the configuration at the first call.
func (c *cluster) ask() (*kubeconfig.Client, error) {
	if s, err := c.asked(); s != nil || err != nil {
		return s, err
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	if s, err := c.asked(); s != nil || err != nil {
		return s, err
	}
	s, err := kubeconfig.Open(c.log, kubeconfig.Options{Path: c.o.Kubeconfig, Context: c.o.Context, Namespace: c.o.Namespace})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch was := c.place; {
	case was == kubeconfig.Place{}:
		c.place, c.namespace = s.Place, s.Place.Namespace
	case was.Server != s.Place.Server || was.Namespace != s.Place.Namespace:
		return nil, kubeconfig.Elsewhere(s.Place, was)
	}
	c.client = s
	return s, nil
}

// asked returns the client, if there is one already.
func (c *cluster) asked() (*kubeconfig.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over.Load() {
		return nil, errClosed
	}
	return c.client, nil
}

// call makes one call of the API server.
func (c *cluster) call(ctx context.Context, do func(context.Context, dynamic.Interface) error) error {
	return c.as(func(s *kubeconfig.Client) error {
		err := do(ctx, s.Dynamic)
		c.heard(err)
		return err
	})
}

// as calls do with the configuration. If we and the API server do not trust each other any more, it
// reads the configuration again and retries once: the token or certificate may be new.
func (c *cluster) as(do func(*kubeconfig.Client) error) error {
	for again := false; ; again = true {
		s, err := c.ask()
		if err == nil {
			err = do(s)
		}
		var strange *tls.CertificateVerificationError
		unknown := apierrors.IsUnauthorized(err)
		if !unknown && !errors.As(err, &strange) {
			return err
		}
		c.forget(s)
		if !again {
			continue
		}
		if unknown {
			err = &compute.Error{
				Kind: compute.ErrDenied, Err: fmt.Errorf("the cluster does not know us (%s): %w", s.User, err),
				Hint: "the token or certificate has run out or was revoked: put a new one there, which is read at once",
			}
		}
		return err
	}
}

// container returns a container of a pod, in which programs can be started.
func (c *cluster) container(pod, name string) podexec.Container {
	return podexec.Container{Pod: pod, Name: name, Call: func(exec func(*rest.Config, string) error) error {
		return c.as(func(s *kubeconfig.Client) error {
			err := exec(s.Config, c.namespace)
			// An old stream that ends without an error says nothing of now: it may end because the
			// API server went.
			if err != nil {
				c.heard(err)
			}
			return err
		})
	}}
}

// heard notes whether the API server answered a call at all.
func (c *cluster) heard(err error) {
	var said apierrors.APIStatus
	var failed net.Error
	switch {
	case err == nil, errors.As(err, &said):
		if c.unheard.Swap(false) {
			c.herald()
		}
	case errors.Is(err, context.Canceled): // we gave up
	case errors.As(err, &failed), errors.Is(err, context.DeadlineExceeded):
		if !c.unheard.Swap(true) {
			c.herald()
		}
	}
}

// heed makes f be called when objects change, or when the API server starts or stops to answer.
func (c *cluster) heed(f func()) (end func()) {
	c.heeding.Lock()
	defer c.heeding.Unlock()
	if c.heeds == nil {
		c.heeds = map[*func()]bool{}
	}
	c.heeds[&f] = true
	return func() {
		c.heeding.Lock()
		defer c.heeding.Unlock()
		delete(c.heeds, &f)
	}
}

// herald calls all functions of heed.
func (c *cluster) herald() {
	c.heeding.Lock()
	all := slices.Collect(maps.Keys(c.heeds))
	c.heeding.Unlock()
	for _, f := range all {
		(*f)()
	}
}

// forget makes the next call read the configuration again.
func (c *cluster) forget(s *kubeconfig.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == s {
		c.client, c.barred = nil, time.Time{}
	}
}

// errClosed is returned when a source is used after its Close.
var errClosed = &compute.Error{Kind: compute.ErrConflict, Err: errors.New("the source was closed")}

// errNone means that there is no such pod, or that it is not ours.
var errNone = errors.New("there is no such pod")
