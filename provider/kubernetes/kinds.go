package kubernetes

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/kubernetes/manifest"
)

// The objects of agent-sandbox that an instance may be in place of a pod. agent-sandbox makes the
// pod, with the labels and annotations that we give.
var (
	sandboxes = schema.GroupVersionResource{Group: "agents.x-k8s.io", Version: "v1beta1", Resource: "sandboxes"}
	claims    = schema.GroupVersionResource{Group: "extensions.agents.x-k8s.io", Version: "v1beta1", Resource: "sandboxclaims"}
)

// claimDomain begins the labels of claims' pods. By default agent-sandbox allows no other labels in
// a claim.
const (
	claimDomain            = "hostler.sandbox.users.io"
	claimLabelInstallation = claimDomain + "/installation"
	claimLabelSource       = claimDomain + "/source"
	claimLabelNetwork      = claimDomain + "/network"
)

// podLabels returns the labels that all pods of a source have. Its network policy selects them by
// these.
func (b *builder) podLabels() map[string]any {
	installation, source, network := labelInstallation, labelSource, labelNetwork
	if b.p.gvr == claims {
		installation, source, network = claimLabelInstallation, claimLabelSource, claimLabelNetwork
	}
	out := map[string]any{installation: b.p.o.Installation, source: sourceLabel(b.p.o.Source)}
	if b.p.plan.network != "" {
		out[network] = b.p.plan.network
	}
	return out
}

// podWatch returns the watch of the pods of the sources of this kind.
func (p *Provider) podWatch() *watch {
	if p.gvr == claims {
		return p.c.watch(pods, claimLabelInstallation)
	}
	return p.c.watch(pods, labelInstallation)
}

// watch returns the watch of the objects that the source makes.
func (p *Provider) watch() *watch { return p.c.watch(p.gvr, labelInstallation) }

// kinds maps the values of the key kind to the objects that are made.
var kinds = map[string]schema.GroupVersionResource{"pod": pods, "sandbox": sandboxes, "claim": claims}

// object returns the object to create for a request. A claim takes a sandbox of pool.
func (b *builder) object(spec compute.Spec, pool string) (*unstructured.Unstructured, error) {
	if b.p.gvr == claims {
		return b.claim(spec, pool), nil
	}
	pod, err := b.manifest(spec)
	if err != nil || b.p.gvr == pods {
		return pod, err
	}
	labels, notes := meta(pod)
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": sandboxes.GroupVersion().String(), "kind": "Sandbox",
		"metadata": map[string]any{"name": pod.GetName(), "namespace": pod.GetNamespace(), "labels": labels, "annotations": notes},
		"spec": map[string]any{"podTemplate": map[string]any{
			"metadata": map[string]any{"labels": labels, "annotations": notes}, "spec": pod.Object["spec"],
		}},
	}}, nil
}

// meta returns an object's labels and annotations, which may be changed.
func meta(u *unstructured.Unstructured) (labels, notes map[string]any) {
	m := manifest.Child(u.Object, "metadata")
	return manifest.Child(m, "labels"), manifest.Child(m, "annotations")
}

// alike refuses a request that the pool's sandboxes cannot meet, as all are made by its template.
// The source's own image is allowed, as the engine names it by default. What sandboxes of another
// owner's pool have is known only once one exists.
func (b *builder) alike(spec compute.Spec) error {
	if b.p.gvr != claims {
		return nil
	}
	has := b.sizes(spec)
	more := func(fact string, asked int64) bool {
		n, err := strconv.ParseFloat(has[fact], 64)
		return asked > 0 && (err != nil || float64(asked) > n)
	}
	if spec.Image != "" && spec.Image != b.p.o.Image || spec.Location != "" || more("cores", int64(spec.Cores)) ||
		more("memory", spec.Memory) || more("disk", spec.Disk) || more("gpus", int64(spec.GPUs)) {
		return &compute.Error{Kind: compute.ErrTooLarge,
			Err: errors.New(
				"sandboxes of a warm pool are all alike: a request cannot ask for another image, a location, or for more cores, memory, disk or GPUs than each has",
			),
			Hint: "a source of kind = sandbox makes each as it is asked for"}
	}
	return nil
}

// claim returns a claim of a sandbox of a warm pool.
func (b *builder) claim(spec compute.Spec, pool string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{}}}
	b.mark(u, spec.ID)
	_, notes := meta(u)
	labels := b.podLabels()
	if !b.p.owns() { // else the template has them
		manifest.Set(labels, b.p.plan.labels)
	}
	ofPod := maps.Clone(notes)
	notes[notePool] = pool
	u.Object["apiVersion"], u.Object["kind"] = claims.GroupVersion().String(), "SandboxClaim"
	u.Object["spec"] = map[string]any{
		"warmPoolRef":           map[string]any{"name": pool},
		"additionalPodMetadata": map[string]any{"labels": labels, "annotations": ofPod},
		"lifecycle":             map[string]any{"shutdownPolicy": "Delete"},
	}
	return u
}

// podOf returns the pod of an object that we made. ErrNotReady: it has none yet.
func (s *objects) podOf(ctx context.Context, made *record) (*record, error) {
	if s.p.gvr == pods {
		return made, nil
	}
	if err := s.look(ctx, s.nameOf(made)); err != nil {
		return nil, err
	}
	if in := s.pod(made); in != nil {
		return in, nil
	}
	s.p.watch().begin() // the caller will ask again and again
	s.p.podWatch().begin()
	if pool := made.Metadata.Annotations[notePool]; s.p.owns() && made.Metadata.DeletionTimestamp == nil && made.poolless() {
		if err := s.p.pool.refound(ctx, pool); err != nil {
			return nil, err
		}
	}
	return nil, made.unready(s.p.o.Schedule, time.Now())
}

// look makes a pod of agent-sandbox known, by what the watch has told. A process without a watch,
// as a command that needs one instance, asks for that pod alone. A list of one needs no right
// beyond the watch's.
func (s *objects) look(ctx context.Context, name string) error {
	w := s.p.podWatch()
	if w.begun() || name == "" {
		return w.trusted(ctx)
	}
	var list *unstructured.UnstructuredList
	err := s.p.c.call(ctx, func(ctx context.Context, d dynamic.Interface) (err error) {
		list, err = d.Resource(pods).Namespace(s.p.c.namespace).List(
			ctx,
			metav1.ListOptions{LabelSelector: w.of.label + "=" + s.p.o.Installation, FieldSelector: "metadata.name=" + name},
		)
		return err
	})
	if err != nil {
		return err
	}
	if len(list.Items) == 0 {
		w.gone(name)
		return nil
	}
	in, err := readPod(&list.Items[0])
	if err == nil {
		w.note(in)
	}
	return err
}

// nameOf returns the name of the pod of a sandbox or a claim. "": it has none yet.
func (s *objects) nameOf(of *record) string {
	if s.p.gvr == claims {
		return of.Status.Sandbox.Name
	}
	return of.Metadata.Name
}

// pod returns what is known of the pod of a sandbox or a claim. nil: nothing.
func (s *objects) pod(of *record) *record {
	in := s.p.podWatch().get(s.nameOf(of))
	if in == nil || !s.made(in) || in.id() != of.id() || s.p.gvr == sandboxes && in.Metadata.OwnerReferences[0].UID != of.Metadata.UID {
		return nil
	}
	return in
}

// made reports whether agent-sandbox made a pod for an instance of this source. Anybody can write
// labels on a pod. So the pod also must have a sandbox as owner, with its name.
func (s *objects) made(pod *record) bool {
	return pod.ours(s.p.o.Installation, s.p.o.Source) && len(pod.Metadata.OwnerReferences) == 1 &&
		pod.Metadata.OwnerReferences[0].Name == pod.Metadata.Name &&
		(s.p.gvr == claims || pod.Metadata.Name == s.p.podName(pod.id()))
}

// poolless reports whether a claim waits for its pool, or the pool for its template.
func (r *record) poolless() bool {
	c := r.condition("Ready", "False")
	return c != nil && (c.Reason == "WarmPoolNotFound" || c.Reason == "TemplateNotFound")
}

// hopelessSandboxes are the reasons of agent-sandbox that waiting does not help.
var hopelessSandboxes = map[string]bool{
	"ClaimExpired": true, "SandboxExpired": true, "InvalidMetadata": true, "TemplateNotFound": true,
	"WarmPoolNotFound": true, "SandboxSuspended": true, "PodSucceeded": true, "PodFailed": true,
}

// unready returns the error that says why a sandbox or a claim has no pod.
func (r *record) unready(patience time.Duration, now time.Time) error {
	if r.Metadata.DeletionTimestamp != nil {
		return &compute.Error{Kind: compute.ErrNotFound, Err: errors.New("it is being deleted")}
	}
	out := &compute.Error{Kind: compute.ErrNotReady, Err: errors.New("it has no pod yet")}
	if c := r.condition("Ready", "False"); c != nil {
		out.Err = errors.New(words("it has no pod yet: "+c.Reason, c.Message))
		// the API server refused to make the pod for the controller
		if _, said, ok := strings.Cut(c.Message, "Error seen: "); ok && c.Reason == "ReconcilerError" {
			hint, kind := read(http.StatusForbidden, said)
			for _, no := range []string{" is forbidden: ", "denied the request", " is invalid: "} {
				if strings.Contains(said, no) && kind != compute.ErrUnavailable {
					out.Kind, out.Hint = kind, hint
				}
			}
		} else if hopelessSandboxes[c.Reason] && now.Sub(r.first) >= patience {
			out.Kind = compute.ErrFailed
		}
	}
	return out
}
