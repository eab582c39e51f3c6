package resource

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/hostler-project/hostler/compute"
)

// cluster is the API server.
type cluster struct {
	kubeconfig, context string

	mu     sync.Mutex
	client dynamic.Interface // nil: not made yet
	mark   string            // of the cluster that it leads to

	mute     atomic.Bool // the last call had no answer
	returned atomic.Bool // it answers again, and nobody has seen to that yet
}

// ask returns the client, made of the configuration at the first call.
func (c *cluster) ask() (dynamic.Interface, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		return c.client, nil
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		rules, &clientcmd.ConfigOverrides{CurrentContext: c.context},
	).ClientConfig()
	var client *dynamic.DynamicClient
	if err == nil {
		// the API server's own fairness bounds us, and what is said of a queue is written seldom
		config.QPS, config.Burst = -1, 0
		config.UserAgent = "hostler"
		client, err = clientOf(config)
	}
	if err != nil {
		return nil, &compute.Error{
			Kind: compute.ErrInvalid, Err: fmt.Errorf("the kubeconfig: %w", err),
			Hint: "set kubeconfig and context of [resources] in hostler.conf",
		}
	}
	c.client, c.mark = client, markOf(config)
	return c.client, nil
}

// clientOf makes a client that no answer sends on to another address: the library would show its
// token there too.
func clientOf(config *rest.Config) (*dynamic.DynamicClient, error) {
	way, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	own := *way // it may be everybody's
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return dynamic.NewForConfigAndClient(config, &own)
}

// markOf tells clusters apart: by the address of the API server, and the certificates that it is
// known by.
func markOf(config *rest.Config) string {
	known := rest.CopyConfig(config)
	_ = rest.LoadTLSFiles(known) // without them nobody gets to the server either
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s", known.Host, known.CAData))
	return hex.EncodeToString(sum[:8])
}

// leads is the mark of the cluster that the configuration leads to, as it was read last; "": it was
// not.
func (c *cluster) leads() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mark
}

// absent reports whether an API server says that there is no object of a name. A gateway before it
// says 404 too, and so does one that does not serve the kind.
func absent(err error, name string) bool {
	var said apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &said) {
		return false
	}
	d := said.Status().Details
	return d != nil && d.Name == name &&
		!slices.ContainsFunc(d.Causes, func(c metav1.StatusCause) bool { return c.Type == metav1.CauseTypeUnexpectedServerResponse })
}

// call does one thing at the API server. Where that knows us no more, the configuration is read
// again, once: somebody may have put a new token there.
func (c *cluster) call(ctx context.Context, do func(context.Context, dynamic.Interface) error) error {
	for again := false; ; again = true {
		client, err := c.ask()
		if err == nil {
			err = do(ctx, client)
			c.heard(err)
		}
		if !apierrors.IsUnauthorized(err) || again {
			return err
		}
		c.mu.Lock()
		if c.client == client {
			c.client = nil
		}
		c.mu.Unlock()
	}
}

// heard notes whether the API server answered a call, whatever it said but that it cannot serve
// now.
func (c *cluster) heard(err error) {
	switch {
	case errors.Is(err, context.Canceled): // by us
	case unheard(err):
		c.mute.Store(true)
	case c.mute.Swap(false):
		c.returned.Store(true)
	}
}

// unheard reports whether a call failed because nobody answered it, so that it says nothing about
// what was asked.
func unheard(err error) bool {
	var said apierrors.APIStatus
	if errors.As(err, &said) {
		return apierrors.IsServiceUnavailable(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err)
	}
	var failed net.Error
	return errors.As(err, &failed) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF)
}

// callTime is for one answer about one object: on a way that is dead without a word nobody waits
// for longer.
const callTime = 10 * time.Second

// one does something to one object at the API server.
func (c *cluster) one(ctx context.Context, do func(context.Context, dynamic.Interface) error) error {
	return c.call(ctx, func(ctx context.Context, d dynamic.Interface) error {
		ctx, cancel := context.WithTimeout(ctx, callTime)
		defer cancel()
		return do(ctx, d)
	})
}

// make makes an object.
func (c *cluster) make(ctx context.Context, gvr schema.GroupVersionResource, namespace string, object map[string]any) error {
	return c.one(ctx, func(ctx context.Context, d dynamic.Interface) error {
		_, err := d.Resource(gvr).Namespace(namespace).Create(
			ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{FieldManager: "hostler"},
		)
		return err
	})
}
