package controller

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/callers"
	"github.com/hostler-project/hostler/controller/exclusive"
	"github.com/hostler-project/hostler/controller/resource"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/host"
)

// resourcing is the section [resources] of hostler.conf: which objects of a Kubernetes cluster ask
// for leases, and which define sources, bundles and projects.
type resourcing struct {
	// NAMESPACE or NAMESPACE=PROJECT, "*" for all others; none: read no objects
	Namespaces []string `conf:"namespaces"`
	// namespaces whose sources, bundles and projects are applied
	Apply []string `conf:"apply"`
	// a file; "": $KUBECONFIG, ~/.kube/config, or the service account of the pod
	Kubeconfig string `conf:"kubeconfig"`
	Context    string `conf:"context"`
	// how many leases made by other means are shown as objects
	Show int `conf:"show"`

	projects map[string]string // by namespace
}

// namespaceName matches the name of a namespace, or "*".
var namespaceName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?|\*)$`) })

// readResources reads the section [resources].
func readResources(cfg *config.Config) (o resourcing, err error) {
	o = resourcing{Show: 500, projects: map[string]string{}}
	settings, at := host.SectionOf(cfg.Sections["resources"])
	if err := config.Decode(settings, at, &o); err != nil {
		return o, host.ConfigError(err)
	}
	bad := func(key, format string, args ...any) error {
		file, line := at(key)
		return host.ConfigError(&config.Error{File: file, Line: line, Key: key, Msg: fmt.Sprintf(format, args...)})
	}
	for _, text := range o.Namespaces {
		name, project, said := strings.Cut(text, "=")
		switch {
		case !namespaceName().MatchString(name):
			return o, bad("namespaces", "%q is not NAMESPACE or NAMESPACE=PROJECT", text)
		case said && project != "":
			if _, err := cfg.Project(project); err != nil {
				return o, bad("namespaces", "%s: %v", text, err)
			}
		case !said && len(cfg.Projects) > 0:
			project = name
		}
		o.projects[name] = project
	}
	for i, name := range o.Apply {
		if name == "*" || !namespaceName().MatchString(name) || slices.Contains(o.Apply[:i], name) {
			return o, bad("apply", "%q is not a NAMESPACE, once: who makes sources there is an administrator of hostler's", name)
		}
	}
	switch {
	case o.Show < 0:
		return o, bad("show", "%d is less than none", o.Show)
	case o.Kubeconfig != "" && !filepath.IsAbs(o.Kubeconfig):
		return o, bad("kubeconfig", "%s: an absolute path is wanted", o.Kubeconfig)
	}
	return o, nil
}

var _ resource.Applier = client.Applied{}

// idle reports whether no objects are read.
func (o resourcing) idle() bool { return len(o.Namespaces)+len(o.Apply) == 0 }

// keepResources serves the objects of a Kubernetes cluster while the configuration says so and this
// controller leads, until ctx ends. Their requests pass the same handler as all others.
func (k *controller) keepResources(ctx context.Context, handler http.Handler) {
	t := &exclusive.Task{Row: exclusive.Resources}
	defer t.Release()
	end, wake := func() {}, func() {}
	defer func() { end() }()
	var does resourcing
	for ctx.Err() == nil {
		now := k.now.Load()
		o := now.resources
		if o.idle() || !k.leadsBy(t) {
			o = resourcing{}
		}
		if !reflect.DeepEqual(o, does) {
			end()
			end, wake, does = func() {}, func() {}, o
			if !o.idle() {
				k.Log.Info(
					"doing what objects of Kubernetes ask for", "namespaces", strings.Join(o.Namespaces, ","), "applied",
					strings.Join(o.Apply, ","),
				)
				end, wake = k.beginResources(o, handler)
			}
		}
		var tick <-chan time.Time
		if !o.idle() || len(now.cfg.Sections["resources"]) > 0 {
			tick = time.After(time.Second) // the lead may have changed by then
		}
		select {
		case <-ctx.Done():
		case <-now.over:
			wake()
		case <-tick:
		}
	}
}

// leadsBy reports whether this controller does what only one process may do.
func (k *controller) leadsBy(t *exclusive.Task) bool {
	if _, shared := k.Host.Store().(host.SharedStore); shared {
		return k.leads()
	}
	return t.Acquire(k.Host.Store())
}

// beginResources starts serving objects. end stops that and waits. wake says that sources may have
// changed.
func (k *controller) beginResources(o resourcing, handler http.Handler) (end, wake func()) {
	l := callers.NewProcessListener()
	log := k.Log
	r := resource.New(resource.Options{
		Kubeconfig: o.Kubeconfig, Context: o.Context, Namespaces: maps.Clone(o.projects), Show: o.Show,
		Installation: k.Host.Store().Installation(), Log: log, Step: host.Step,
		Sets: slices.Clone(o.Apply),
		// not May: programs that would run here are refused
		Applier: func(namespace, reason string) (resource.Applier, io.Closer, error) {
			who := callers.Namespace(namespace)
			who.Everywhere, who.Only = auth.Administrator, auth.Manage
			c, err := client.New(client.Options{Dial: l.DialAs(who), Reason: reason})
			if err != nil {
				return nil, nil, err
			}
			return c.Applied(), c, nil
		},
		Reader: func() resource.Reader { return k.now.Load().engine },
		As: func(namespace, project, reason string) (resource.Client, error) {
			who := callers.Namespace(namespace)
			who.Roles = map[string]auth.Role{project: auth.User}
			return client.New(client.Options{Dial: l.DialAs(who), Reason: reason})
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	serving, over := context.WithCancel(context.Background())
	ran, served := make(chan struct{}), make(chan struct{})
	go func() { defer close(ran); r.Run(ctx) }()
	go func() {
		defer close(served)
		_ = server.Serve(
			serving,
			&http.Server{
				Handler: handler, ConnContext: callers.ConnContext,
				ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
			},
			l, Grace,
		)
	}()
	return func() {
		cancel()
		<-ran
		over()
		<-served
	}, r.Wake
}
