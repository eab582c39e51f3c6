package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/kubernetes/manifest"
)

// Provider makes pods for one source. Any number of goroutines may use it.
type Provider struct {
	o    Options
	plan plan
	log  *slog.Logger
	c    *cluster
	gvr  schema.GroupVersionResource // the objects that it makes
	// told of each step before it is done; an error ends the call as a kill would. nil except in
	// tests
	step func(string) error

	mu     sync.Mutex
	closed bool
	heeds  []func()     // these end what NotifyHealth started
	seen   readTemplate // the last one

	objects  objects
	build    builder
	entrance entrance
	policies networkPolicies
	pool     warmPool
}

// objects reads and changes a source's objects at its cluster.
type objects struct{ p *Provider }

// builder makes what is sent to the cluster, from the source's keys and a request.
type builder struct{ p *Provider }

// entrance connects to a source's pods, and keeps what it needs for that.
type entrance struct {
	p      *Provider
	waits  map[compute.ID]startCondition // for the pods that are not ready
	places map[string]placing            // by the pods' uids
}

// assemble gives a provider its parts. Each of them knows the provider.
func (p *Provider) assemble() *Provider {
	p.objects.p, p.build.p, p.pool.p = p, p, p
	p.entrance = entrance{p: p, waits: map[compute.ID]startCondition{}}
	p.policies = networkPolicies{p: p, turn: newTurn()}
	p.pool.founding = newTurn()
	return p
}

var (
	_ compute.Provider     = (*Provider)(nil)
	_ provider.Checker     = (*Provider)(nil)
	_ provider.Chooser     = (*Provider)(nil)
	_ provider.Consoler    = (*Provider)(nil)
	_ provider.CreateLag   = (*Provider)(nil)
	_ provider.HealthCache = (*Provider)(nil)
	_ provider.Prober      = (*Provider)(nil)
)

// open returns the provider of one source. ErrInvalid: the options are wrong. It calls no cluster
// and does not read the template's file: existing pods stay usable whatever has become of that.
func open(_ context.Context, log *slog.Logger, o Options) (*Provider, error) {
	read, err := o.read()
	switch {
	case err != nil:
	case o.Installation == "" || !manifest.IsLabelValue(o.Installation):
		err = fmt.Errorf("the installation %q cannot stand in a label", o.Installation)
	case o.Source == "":
		err = errors.New("a source needs a name")
	}
	if err != nil {
		return nil, &compute.Error{
			Op: "kubernetes.Open", ID: compute.ID(o.Source), Kind: compute.ErrInvalid, Err: err, Hint: compute.Hint(err),
		}
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &Provider{o: o, plan: read, log: log, c: join(log, o), gvr: kinds[read.kind]}
	return p.assemble(), nil
}

// Close ends the source's use of its cluster. The last source ends the watches.
func (p *Provider) Close() error {
	p.mu.Lock()
	closed := p.closed
	p.closed = true
	for _, end := range p.heeds {
		end()
	}
	p.mu.Unlock()
	if !closed {
		p.c.leave()
	}
	return nil
}

// at reports to step that a step begins.
func (p *Provider) at(step string) error {
	if p.step == nil {
		return nil
	}
	return p.step(step)
}

// Create makes a pod, or returns the existing one. The pod may still wait for a node.
func (p *Provider) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	in, err := p.create(ctx, spec, time.Now())
	if err != nil {
		unasked := provider.WasUnasked(err)
		if err = p.fault("Create", spec.ID, err); unasked {
			err = provider.Unasked(err)
		}
		return compute.Instance{}, err
	}
	out := p.instance(in)
	maps.Copy(out.Facts, p.build.sizes(spec))
	return out, nil
}

// create makes the object after the network policy and the pool exist. Errors before the call are
// marked as unasked.
func (p *Provider) create(ctx context.Context, spec compute.Spec, now time.Time) (*record, error) {
	if spec.ID == "" || len(spec.ID) > 1000 {
		return nil, provider.Unasked(&compute.Error{Kind: compute.ErrInvalid, Err: errors.New("not a name for an instance")})
	}
	if err := p.checkImagePolicy(ctx, spec.Image); err != nil {
		return nil, provider.Unasked(err)
	}
	if _, err := p.c.ask(); err != nil {
		return nil, provider.Unasked(err)
	}
	if err := p.build.alike(spec); err != nil {
		return nil, provider.Unasked(err)
	}
	if err := p.policies.protect(ctx, now); err != nil {
		return nil, provider.Unasked(err)
	}
	pool, done, err := p.pool.drawn(ctx)
	if err != nil {
		return nil, provider.Unasked(err)
	}
	defer done()
	object, err := p.build.object(spec, pool)
	if err != nil {
		return nil, provider.Unasked(err)
	}
	if err := p.at("create"); err != nil {
		return nil, err
	}
	var made *unstructured.Unstructured
	err = p.c.call(ctx, func(ctx context.Context, d dynamic.Interface) error {
		made, err = d.Resource(p.gvr).Namespace(p.c.namespace).Create(ctx, object, metav1.CreateOptions{FieldManager: "hostler"})
		return err
	})
	if apierrors.IsAlreadyExists(err) {
		there, err := p.objects.read(ctx, spec.ID)
		switch {
		case errors.Is(err, errNone): // it is somebody else's, or it was just deleted
			return nil, &compute.Error{
				Kind: compute.ErrConflict,
				Err:  fmt.Errorf("a %s %s is there, and it is not this installation's", nouns[p.gvr], p.podName(spec.ID)),
				Hint: "it is left alone; remove it, or use another namespace",
			}
		case err == nil && there.Metadata.DeletionTimestamp != nil:
			return nil, &compute.Error{Kind: compute.ErrConflict, Err: fmt.Errorf("the %s of this name is being deleted", nouns[p.gvr])}
		}
		return there, err
	}
	if err != nil {
		return nil, sure(err)
	}
	in, err := readPod(made)
	if err != nil {
		return nil, err
	}
	p.watch().note(in)
	return in, p.at("created")
}

// sure marks an error by which the API server certainly made nothing.
func sure(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code, text := status.Status().Code, status.Status().Message
		// a webhook may refuse with any status
		if code >= 400 && code < 500 && code != 408 && code != 409 || strings.Contains(text, "denied the request") {
			return provider.Unasked(err)
		}
	}
	return err
}

// read asks the API server for an instance's pod. errNone: there is none that is ours.
func (s *objects) read(ctx context.Context, id compute.ID) (*record, error) {
	name := s.p.podName(id)
	var got *unstructured.Unstructured
	err := s.p.c.call(ctx, func(ctx context.Context, d dynamic.Interface) (err error) {
		got, err = d.Resource(s.p.gvr).Namespace(s.p.c.namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	if absent(err, name) {
		s.p.watch().gone(name)
		return nil, errNone
	}
	if apierrors.IsNotFound(err) {
		return nil, &compute.Error{
			Kind: compute.ErrUnavailable, Err: fmt.Errorf("whether there is %s nobody says: %w", name, err),
			Hint: "is what answers an API server, and does it have agent-sandbox with " + claims.Version + " of its API where kind is sandbox or claim?",
		}
	}
	if err != nil {
		return nil, err
	}
	in, err := readPod(got)
	if err != nil {
		return nil, err
	}
	if !s.owned(in) {
		return nil, errNone
	}
	s.p.watch().note(in)
	return in, nil
}

// owned reports whether an object is an instance of this source, by its marks and its name. The
// marks alone may have been copied.
func (s *objects) owned(in *record) bool {
	return in.ours(s.p.o.Installation, s.p.o.Source) && in.Metadata.Name == s.p.podName(in.id())
}

// known is read, but answered by the watch where that works. A process without a watch, as a
// command that needs one instance, reads that one alone.
func (s *objects) known(ctx context.Context, id compute.ID) (*record, error) {
	if s.p.watch().begun() && s.p.watch().trusted(ctx) == nil {
		if in := s.p.watch().get(s.p.podName(id)); in != nil && s.owned(in) {
			return in, nil
		}
	}
	return s.read(ctx, id)
}

// List returns the pods of this source, including those that are being deleted.
func (p *Provider) List(ctx context.Context) ([]compute.Instance, error) {
	if _, err := p.c.ask(); err != nil {
		return nil, p.fault("List", compute.ID(p.o.Source), err)
	}
	all, err := p.watch().list(ctx, p.o.Source)
	if err != nil {
		return nil, p.fault("List", compute.ID(p.o.Source), err)
	}
	var out []compute.Instance
	for _, in := range all {
		if p.objects.owned(in) {
			out = append(out, p.instance(in))
		}
	}
	return out, nil
}

// instance returns what the engine gets to know of a pod.
func (p *Provider) instance(in *record) compute.Instance {
	out := compute.Instance{
		ID: in.id(), Source: p.o.Source, ProviderID: p.c.namespace + "/" + in.Metadata.Name,
		Facts: map[string]string{"os": "linux"},
	}
	if made := cmp.Or(
		in.Metadata.Annotations[noteTemplate], in.Metadata.Annotations[notePool],
	); made != "" && (p.gvr != claims || p.owns()) {
		out.Facts[provider.FactTemplate] = made
	}
	if p.gvr != pods {
		pod := p.objects.pod(in)
		if pod == nil {
			return out
		}
		in = pod
	}
	out.Address = in.Status.PodIP
	name := p.objects.containerOf(in)
	for _, c := range in.Spec.Containers {
		if c.Name == name {
			out.Facts[provider.FactImage] = c.Image
		}
	}
	if in.Spec.NodeName != "" {
		out.Facts[provider.FactNode] = in.Spec.NodeName
	}
	return out
}

// containerOf returns the container in which commands run. It is the pod's default container, which
// our pods name. If a pod names none it is the first, which may be one that a webhook put before
// the template's own.
func (s *objects) containerOf(in *record) string {
	if s.p.o.Container != "" || len(in.Spec.Containers) == 0 {
		return s.p.o.Container
	}
	name := in.Metadata.Annotations[noteContainer]
	for _, c := range in.Spec.Containers {
		if c.Name == name {
			return name
		}
	}
	return in.Spec.Containers[0].Name
}

// Check returns nil if the pod runs.
func (p *Provider) Check(ctx context.Context, id compute.ID) error {
	if err := p.objects.answers(ctx); err != nil {
		return p.fault("Check", id, err)
	}
	in, err := p.objects.known(ctx, id)
	if err == nil {
		in, err = p.objects.podOf(ctx, in)
	}
	if err == nil {
		_, err = in.fate(p.objects.containerOf(in), p.o.Schedule, time.Now())
	}
	return p.fault("Check", id, err)
}

// Fit reports the result of Check, from what the watch has told so far and without a call. So an
// idle instance is granted within one transaction of the store.
func (p *Provider) Fit(id compute.ID, text string) bool {
	was, err := readIdentity(text)
	if err != nil || p.c.unheard.Load() || !p.c.leadsTo(was.Place) {
		return false
	}
	in := p.watch().sees(p.podName(id))
	if in == nil || !p.objects.owned(in) {
		return false
	}
	if p.gvr != pods {
		if p.podWatch().sees(p.objects.nameOf(in)) == nil || was.pod != (sighted{}) && p.objects.replaced(was.pod) != nil {
			return false
		}
		if in = p.objects.pod(in); in == nil {
			return false
		}
	}
	wait, err := in.fate(p.objects.containerOf(in), p.o.Schedule, time.Now())
	return err == nil && !wait
}

// CreateLag returns how long the API server may still be making a pod after its caller gave up: as
// long as it may work on a request.
func (p *Provider) CreateLag() time.Duration { return time.Minute }

// Console returns the cluster's events of a pod. The output of its own processes is in the
// container's log.
func (p *Provider) Console(ctx context.Context, id compute.ID) (string, error) {
	in, err := p.objects.read(ctx, id)
	if err != nil {
		return "", p.fault("Console", id, err)
	}
	all, err := p.objects.eventsOf(ctx, in.Metadata.UID, "")
	if err != nil {
		return "", p.fault("Console", id, err)
	}
	var out strings.Builder
	for _, e := range all {
		fmt.Fprintln(&out, e.when, words(e.reason, e.message))
	}
	return out.String(), nil
}
