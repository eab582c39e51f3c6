package kubernetes

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// A source of claims without warm-pool has a pool of its own. It consists of a SandboxTemplate made
// of the source's keys, and a SandboxWarmPool of that. The name of both has a digest of their
// content. Only the pool's size is ever changed: other keys give another template and pool. So no
// claim gets an outdated sandbox. The old pool goes with the last claim from it.

var (
	templates = schema.GroupVersionResource{Group: claims.Group, Version: claims.Version, Resource: "sandboxtemplates"}
	warmPools = schema.GroupVersionResource{Group: claims.Group, Version: claims.Version, Resource: "sandboxwarmpools"}
)

// owns reports whether the source has a warm pool of its own.
func (p *Provider) owns() bool { return p.gvr == claims && p.o.WarmPool == "" }

// warmPool cares for the source's own warm pool.
type warmPool struct {
	p         *Provider
	founding  turn   // one goroutine at a time changes the pool
	founded   string // the pool that exists
	reserved  int    // the number of sandboxes that was requested last
	refounded time.Time
	// the claims being made; counted up under founding, and down at any time
	drawing atomic.Int32
}

// stock is a source's warm pool: its own or another owner's.
type stock struct {
	name     string
	template map[string]any // the template's spec, for our own pool
}

// stock returns what claims are made from now. It reads the source's template file again.
func (w *warmPool) stock() (stock, error) {
	if !w.p.owns() {
		return stock{name: w.p.o.WarmPool}, nil
	}
	pod, err := w.p.build.manifest(compute.Spec{})
	if err != nil {
		return stock{}, err
	}
	labels, notes := meta(pod)
	delete(labels, labelInstallation) // a pool's sandbox is no instance
	delete(labels, labelSource)
	delete(labels, labelNetwork)
	delete(notes, noteInstance)
	// the network policy selects by these, before a claim and after
	maps.Copy(labels, w.p.build.podLabels())
	spec := map[string]any{
		"podTemplate": map[string]any{"metadata": map[string]any{"labels": labels, "annotations": notes}, "spec": pod.Object["spec"]},
		// By default agent-sandbox adds a policy of its own. It lets sandboxes out to the internet,
		// and policies add up.
		"networkPolicyManagement": "Unmanaged",
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return stock{}, err
	}
	sum := sha256.Sum256(text)
	return stock{
		name:     w.p.podName(compute.ID(w.p.o.Source)) + "-" + strings.ToLower(base32.HexEncoding.EncodeToString(sum[:5])),
		template: spec,
	}, nil
}

// head returns the metadata of a source's objects that are no instances.
func (s *objects) head(name string) map[string]any {
	return map[string]any{
		"name": name, "namespace": s.p.c.namespace,
		"labels":      map[string]any{labelInstallation: s.p.o.Installation, labelSource: sourceLabel(s.p.o.Source)},
		"annotations": map[string]any{noteSource: s.p.o.Source},
	}
}

// pools returns the sizes of the source's warm pools by name, also of those with an outdated
// template.
func (w *warmPool) pools(ctx context.Context) (map[string]int64, error) {
	out := map[string]int64{}
	list, err := w.p.objects.lists(ctx, warmPools)
	for _, u := range list {
		n, _, _ := unstructured.NestedInt64(u.Object, "spec", "replicas")
		out[u.GetName()] = n
	}
	return out, err
}

// lists returns the source's objects of a kind, except those that are being deleted.
func (s *objects) lists(ctx context.Context, gvr schema.GroupVersionResource) (out []unstructured.Unstructured, err error) {
	var list *unstructured.UnstructuredList
	err = s.p.c.call(ctx, func(ctx context.Context, d dynamic.Interface) (err error) {
		list, err = d.Resource(gvr).Namespace(s.p.c.namespace).List(
			ctx,
			metav1.ListOptions{
				LabelSelector: labelInstallation + "=" + s.p.o.Installation + "," + labelSource + "=" + sourceLabel(s.p.o.Source),
			},
		)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, u := range list.Items {
		if u.GetDeletionTimestamp() == nil && u.GetAnnotations()[noteSource] == s.p.o.Source {
			out = append(out, u)
		}
	}
	return out, nil
}

// apply writes an object of ours to the cluster.
func (s *objects) apply(ctx context.Context, gvr schema.GroupVersionResource, object map[string]any) error {
	u := &unstructured.Unstructured{Object: object}
	text, err := json.Marshal(u)
	if err != nil {
		return err
	}
	force := true // it is ours, by its name
	return s.p.c.call(ctx, func(ctx context.Context, d dynamic.Interface) error {
		_, err := d.Resource(gvr).Namespace(s.p.c.namespace).Patch(
			ctx, u.GetName(), types.ApplyPatchType, text, metav1.PatchOptions{FieldManager: "hostler", Force: &force},
		)
		return err
	})
}

// size applies the pool with a size of n.
func (w *warmPool) size(ctx context.Context, name string, n int) error {
	if err := w.p.at("pool"); err != nil {
		return err
	}
	return w.p.objects.apply(ctx, warmPools, map[string]any{
		"apiVersion": warmPools.GroupVersion().String(), "kind": "SandboxWarmPool", "metadata": w.p.objects.head(name),
		"spec": map[string]any{"replicas": int64(n), "sandboxTemplateRef": map[string]any{"name": name}},
	})
}

// found applies the template, and then a pool of n.
func (w *warmPool) found(ctx context.Context, s stock, n int) error {
	if err := w.p.at("template"); err != nil {
		return err
	}
	err := w.p.objects.apply(ctx, templates, map[string]any{
		"apiVersion": templates.GroupVersion().String(), "kind": "SandboxTemplate", "metadata": w.p.objects.head(s.name), "spec": s.template,
	})
	if err != nil {
		return err
	}
	return w.size(ctx, s.name, n)
}

// drawn makes sure that the pool for a claim exists, and returns its name. It starts no sandboxes:
// Reserve does that. The caller calls done when the claim was made or failed.
func (w *warmPool) drawn(ctx context.Context) (name string, done func(), err error) {
	s, err := w.stock()
	if err != nil || !w.p.owns() {
		return s.name, func() {}, err
	}
	if err := w.founding.take(ctx); err != nil {
		return "", nil, err
	}
	defer w.founding.end()
	if w.founded != s.name {
		there, err := w.pools(ctx)
		if err != nil {
			return "", nil, err
		}
		if _, ok := there[s.name]; !ok {
			if err := w.found(ctx, s, w.reserved); err != nil {
				return "", nil, err
			}
			// the template was edited, so the old pool's sandboxes serve nobody
			if w.reserved > 0 {
				needed, err := w.drawnFrom(ctx)
				if err == nil {
					needed[s.name] = true
					err = w.clear(ctx, there, needed, s.name)
				}
				if err != nil {
					return "", nil, err
				}
			}
		}
		if err := w.noticed(ctx, s.name); err != nil {
			return "", nil, err
		}
		w.founded = s.name
	}
	w.drawing.Add(1)
	return s.name, func() { w.drawing.Add(-1) }, nil
}

// seenWithin is how long agent-sandbox gets to notice a new pool. It looks again at a claim of an
// unknown pool only after a minute.
const seenWithin = 5 * time.Second

// noticed waits until the status of a pool and its template shows that agent-sandbox knows them. It
// waits no longer than seenWithin.
func (w *warmPool) noticed(ctx context.Context, name string) error {
	for begin, pause := time.Now(), 10*time.Millisecond; time.Since(begin) < seenWithin; pause = min(2*pause, time.Second) {
		known := 0
		for _, gvr := range []schema.GroupVersionResource{warmPools, templates} {
			list, err := w.p.objects.lists(ctx, gvr)
			if err != nil {
				return err
			}
			for _, u := range list {
				is, _, _ := unstructured.NestedInt64(u.Object, "status", "observedGeneration")
				if u.GetName() == name &&
					(gvr == warmPools && is >= u.GetGeneration() || u.GetLabels()["agents.x-k8s.io/sandbox-template-ref-hash"] != "") {
					known++
				}
			}
		}
		if known == 2 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	return nil
}

// refound applies the template and the pool again if somebody removed them while a claim needs
// them. agent-sandbox looks at that claim again within a minute.
func (w *warmPool) refound(ctx context.Context, of string) error {
	s, err := w.stock()
	if err != nil || s.name != of {
		return err
	}
	if err := w.founding.take(ctx); err != nil {
		return err
	}
	defer w.founding.end()
	if time.Since(w.refounded) < time.Second {
		return nil
	}
	w.refounded = time.Now()
	there, err := w.pools(ctx)
	if err != nil {
		return err
	}
	return w.found(ctx, s, int(there[s.name]))
}

// Reserves returns the settings of the source's warm pool, and how long its sandboxes take to
// start.
func (p *Provider) Reserves() (a provider.Prewarming, ok bool) {
	if !p.owns() {
		return a, false
	}
	return provider.Prewarming{Least: p.o.Warm, Lead: p.podWatch().took(p.o.Source), Place: p.c.key}, true
}

// Reserve keeps n sandboxes in the source's warm pool, and makes the pool if necessary. With 0 it
// removes the pool and its template, unless a claim needs them. It writes only what differs, and
// removes what is left of outdated templates.
func (p *Provider) Reserve(ctx context.Context, n int) error {
	return p.fault("Reserve", compute.ID(p.o.Source), p.pool.reserve(ctx, n))
}

// reserve is Reserve, and removes the pools that no claim needs.
func (w *warmPool) reserve(ctx context.Context, n int) error {
	if !w.p.owns() {
		return &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("the source has no warm pool of its own")}
	}
	if _, err := w.p.c.ask(); err != nil {
		return err
	}
	s, err := w.stock()
	if err != nil && n > 0 {
		return err // removing needs no template
	}
	if n > 0 {
		if err := w.p.policies.protect(ctx, time.Now()); err != nil {
			return err
		}
	}
	if err := w.founding.take(ctx); err != nil {
		return err
	}
	defer w.founding.end()
	// read before the list of claims, so that a claim being made is in one of them
	drawing := w.drawing.Load() > 0
	there, err := w.pools(ctx)
	if err != nil {
		return err
	}
	needed, err := w.drawnFrom(ctx)
	if err != nil {
		return err
	}
	if now, ok := there[s.name]; n > 0 && !ok {
		err = w.found(ctx, s, n)
	} else if ok && now != int64(n) && (n > 0 || drawing || needed[s.name]) {
		err = w.size(ctx, s.name, n)
	}
	if err != nil {
		return err
	}
	if n > 0 || drawing {
		needed[s.name] = true
	}
	if !needed[s.name] {
		w.founded = ""
	}
	w.reserved = n
	return w.clear(ctx, there, needed, s.name)
}

// drawnFrom returns the warm pools that the source's claims came from.
func (w *warmPool) drawnFrom(ctx context.Context) (map[string]bool, error) {
	list, err := w.p.watch().list(ctx, w.p.o.Source)
	out := map[string]bool{}
	for _, c := range list {
		if w.p.objects.owned(c) && c.Metadata.DeletionTimestamp == nil { // it still needs its pool
			out[c.Metadata.Annotations[notePool]] = true
		}
	}
	return out, err
}

// clear removes the source's unused pools and templates. Outdated pools that a claim still needs
// are emptied.
func (w *warmPool) clear(ctx context.Context, there map[string]int64, needed map[string]bool, now string) error {
	for name, size := range there {
		switch {
		case !needed[name]:
			if err := w.p.objects.remove(ctx, warmPools, name); err != nil {
				return err
			}
		case name != now && size > 0:
			if err := w.size(ctx, name, 0); err != nil {
				return err
			}
		}
	}
	if len(there) == 0 && len(needed) > 0 {
		// it was just made, and nothing was there before; a template without its pool is found the
		// next time
		return nil
	}
	list, err := w.p.objects.lists(ctx, templates)
	if err != nil {
		return err
	}
	for _, u := range list {
		if !needed[u.GetName()] {
			if err := w.p.objects.remove(ctx, templates, u.GetName()); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove deletes an object of ours.
func (s *objects) remove(ctx context.Context, gvr schema.GroupVersionResource, name string) error {
	if err := s.p.at("remove " + gvr.Resource); err != nil {
		return err
	}
	err := s.p.c.call(ctx, func(ctx context.Context, d dynamic.Interface) error {
		return d.Resource(gvr).Namespace(s.p.c.namespace).Delete(ctx, name, metav1.DeleteOptions{})
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
