// Package kubeconfig reads the configuration of a cluster's user. It makes the client, says where
// it leads and as whom, and finds what is wrong with it.
package kubeconfig

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/kubernetes/transport"
)

// Options say which kubeconfig, and what of it.
type Options struct {
	Path      string // "": as kubectl finds it
	Context   string // "": the current one
	Namespace string // "": the context's
}

// Client is a client and the configuration that it was made of.
type Client struct {
	Config  *rest.Config
	Dynamic dynamic.Interface
	User    string // the user that we are, and where the configuration says so
	Place   Place
}

// quiet redirects the library's own log, once, to ours. By default it goes to standard error.
var quiet sync.Once

// debugging is a log that turns every line into a debugging line.
type debugging struct{ slog.Handler }

func (d debugging) Enabled(ctx context.Context, _ slog.Level) bool {
	return d.Handler.Enabled(ctx, slog.LevelDebug)
}

func (d debugging) Handle(ctx context.Context, r slog.Record) error {
	if !d.Enabled(ctx, slog.LevelDebug) { // the library does not always check this
		return nil
	}
	r.Level = slog.LevelDebug
	return d.Handler.Handle(ctx, r)
}

func (d debugging) WithAttrs(a []slog.Attr) slog.Handler { return debugging{d.Handler.WithAttrs(a)} }
func (d debugging) WithGroup(name string) slog.Handler   { return debugging{d.Handler.WithGroup(name)} }

// Open makes a client of the configuration as it is now. log gets the library's own log.
func Open(log *slog.Logger, o Options) (*Client, error) {
	quiet.Do(func() { klog.SetSlogLogger(slog.New(debugging{log.Handler()})) })
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Path
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.Context})
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) && o.Path == "" {
		err = errors.New("neither $KUBECONFIG nor ~/.kube/config has one")
	}
	if err != nil {
		return nil, &compute.Error{
			Kind: compute.ErrInvalid, Err: fmt.Errorf("the kubeconfig: %w", err),
			Hint: "set kubeconfig and context of the source; `kubectl config get-contexts` lists them",
		}
	}
	namespace := o.Namespace
	if namespace == "" {
		if namespace, _, err = loader.Namespace(); err != nil {
			return nil, &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("the kubeconfig: %w", err)}
		}
	}
	// Certificates are read now. So new ones are used as soon as the configuration is read again.
	// The library itself looks at its files every five minutes.
	if err := rest.LoadTLSFiles(config); err != nil {
		return nil, &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("the kubeconfig: %w", err)}
	}
	config.CAFile, config.CertFile, config.KeyFile = "", "", ""
	// the API server's fairness and the source's concurrency limit us already
	config.QPS, config.Burst = -1, 0
	config.UserAgent = "hostler"
	calls := rest.CopyConfig(config)
	calls.Wrap(func(to http.RoundTripper) http.RoundTripper { return &transport.Patience{To: to} })
	client, err := clientOf(calls)
	if err != nil {
		return nil, &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("the kubeconfig: %w", err)}
	}
	return &Client{Config: config, Dynamic: client, User: who(loader, o.Context), Place: PlaceOf(config, namespace)}, nil
}

// clientOf makes a client that follows no redirect to another address: the library would send its
// token there too.
func clientOf(config *rest.Config) (*dynamic.DynamicClient, error) {
	way, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	own := *way // it may be shared
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return dynamic.NewForConfigAndClient(config, &own)
}

// who says which user a configuration speaks as, and where it says so. It shows no secret.
func who(loader clientcmd.ClientConfig, of string) string {
	raw, err := loader.RawConfig()
	if err != nil {
		return "the kubeconfig's user"
	}
	at := raw.Contexts[cmp.Or(of, raw.CurrentContext)]
	if at == nil || raw.AuthInfos[at.AuthInfo] == nil {
		return "the service account of this pod"
	}
	user := raw.AuthInfos[at.AuthInfo]
	out := fmt.Sprintf("the user %s of %s", at.AuthInfo, user.LocationOfOrigin)
	switch {
	case user.Exec != nil:
		out += ", by what " + user.Exec.Command + " says"
	case user.TokenFile != "":
		out += ", by the token in " + user.TokenFile
	case user.Token != "":
		out += ", by a token"
	case user.ClientCertificate != "":
		out += ", by the certificate " + user.ClientCertificate
	case len(user.ClientCertificateData) > 0:
		out += ", by a certificate"
	}
	return out
}
