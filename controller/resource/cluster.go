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

// cluster is the connection to the API server.
type cluster struct {
	kubeconfig, context string

	mu     sync.Mutex
	client dynamic.Interface // nil: not made yet
	mark   string            // identifies the cluster

	mute     atomic.Bool // the last call had no answer
	returned atomic.Bool // it answers again, and that was not handled yet
}

// ask returns the client, and makes it from the kubeconfig at the first call.
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
		// the API server's own fairness limits us, and progress is written rarely
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

// clientOf makes a client that follows no redirect: the library would send its token to the new
// address too.
func clientOf(config *rest.Config) (*dynamic.DynamicClient, error) {
	way, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	own := *way // the client may be shared
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return dynamic.NewForConfigAndClient(config, &own)
}

// markOf identifies a cluster by the API server's address and its certificate authority.
func markOf(config *rest.Config) string {
	known := rest.CopyConfig(config)
	_ = rest.LoadTLSFiles(known) // without them the server cannot be reached either
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s", known.Host, known.CAData))
	return hex.EncodeToString(sum[:8])
}

// server returns the mark of the cluster in the kubeconfig as last read; "": not read yet.
func (c *cluster) server() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mark
}

// absent reports whether an API server says that an object does not exist. A gateway may answer 404
// too, and so does a server without the kind; those do not count.
func absent(err error, name string) bool {
	var said apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &said) {
		return false
	}
	d := said.Status().Details
	return d != nil && d.Name == name &&
		!slices.ContainsFunc(d.Causes, func(c metav1.StatusCause) bool { return c.Type == metav1.CauseTypeUnexpectedServerResponse })
}

// call makes a call to the API server. If the server rejects the credentials, it reads the
// kubeconfig again and retries once, as the token may have been replaced.
func (c *cluster) call(ctx context.Context, do func(context.Context, dynamic.Interface) error) error {
	for again := false; ; again = true {
		client, err := c.ask()
		if err == nil {
			err = do(ctx, client)
			c.noteResult(err)
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

// noteResult notes whether the API server answered a call. An answer that it is unavailable does
// not count.
func (c *cluster) noteResult(err error) {
	switch {
	case errors.Is(err, context.Canceled): // by this process
	case isUnreachable(err):
		c.mute.Store(true)
	case c.mute.Swap(false):
		c.returned.Store(true)
	}
}

// isUnreachable reports whether a call failed without an answer, so that nothing is known about its
// object.
func isUnreachable(err error) bool {
	var said apierrors.APIStatus
	if errors.As(err, &said) {
		return apierrors.IsServiceUnavailable(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err)
	}
	var failed net.Error
	return errors.As(err, &failed) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF)
}

// callTime is the timeout of a call about one object, as a dead connection may never report an
// error.
const callTime = 10 * time.Second

// one makes a call about one object, with callTime as its timeout.
func (c *cluster) one(ctx context.Context, do func(context.Context, dynamic.Interface) error) error {
	return c.call(ctx, func(ctx context.Context, d dynamic.Interface) error {
		ctx, cancel := context.WithTimeout(ctx, callTime)
		defer cancel()
		return do(ctx, d)
	})
}

// make creates an object.
func (c *cluster) make(ctx context.Context, gvr schema.GroupVersionResource, namespace string, object map[string]any) error {
	return c.one(ctx, func(ctx context.Context, d dynamic.Interface) error {
		_, err := d.Resource(gvr).Namespace(namespace).Create(
			ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{FieldManager: "hostler"},
		)
		return err
	})
}
