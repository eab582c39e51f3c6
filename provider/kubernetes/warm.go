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
)

// A source of claims that names no warm pool has one of its own: a SandboxTemplate made of the
// source's keys, and a SandboxWarmPool of it, both under a name that has the digest of what they
// say. They are never edited but for the pool's size: what is to be made otherwise is another
// template and another pool, so that no claim gets a sandbox of what was before, and the old pool
// goes when no claim is left that came from it.

var (
	templates = schema.GroupVersionResource{Group: claims.Group, Version: claims.Version, Resource: "sandboxtemplates"}
	warmPools = schema.GroupVersionResource{Group: claims.Group, Version: claims.Version, Resource: "sandboxwarmpools"}
)

var _ compute.Reserver = (*Provider)(nil)

// owns tells whether the source has a warm pool of its own.
func (p *Provider) owns() bool { return p.gvr == claims && p.o.WarmPool == "" }

// warmPool sees to the source's own.
type warmPool struct {
	p         *Provider
	founding  turn   // one at a time sees to it
	founded   string // the pool that is there
	reserved  int    // sandboxes, as it was told last
	refounded time.Time
	// claims that are being made; begun by who has founding, and ended by anyone
	drawing atomic.Int32
}

// stock is the warm pool of a source: its own, or another's.
type stock struct {
	name     string
	template map[string]any // of our own: the template's spec
}

// stock says what claims are made from now. The source's template file is read anew.
func (w *warmPool) stock() (stock, error) {
	if !w.p.owns() {
		return stock{name: w.p.o.WarmPool}, nil
	}
	pod, err := w.p.build.manifest(compute.Spec{})
	if err != nil {
		return stock{}, err
	}
	labels, notes := meta(pod)
	delete(labels, labelInstallation) // it is no instance
	delete(labels, labelSource)
	delete(labels, labelNetwork)
	delete(notes, noteInstance)
	// which the network policy goes by, before a claim and after
	maps.Copy(labels, w.p.build.podLabels())
	spec := map[string]any{
		"podTemplate": map[string]any{"metadata": map[string]any{"labels": labels, "annotations": notes}, "spec": pod.Object["spec"]},
		// Without a word agent-sandbox makes a policy of its own, which lets sandboxes out to the
		// internet, and policies add up.
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

// head is the metadata of what a source has at its cluster beside its instances.
func (s *objects) head(name string) map[string]any {
	return map[string]any{
		"name": name, "namespace": s.p.c.namespace,
		"labels":      map[string]any{labelInstallation: s.p.o.Installation, labelSource: sourceLabel(s.p.o.Source)},
		"annotations": map[string]any{noteSource: s.p.o.Source},
	}
}

// pools lists the warm pools of the source, also those of templates of before, by name, with their
// sizes.
func (w *warmPool) pools(ctx context.Context) (map[string]int64, error) {
	out := map[string]int64{}
	list, err := w.p.objects.lists(ctx, warmPools)
	for _, u := range list {
		n, _, _ := unstructured.NestedInt64(u.Object, "spec", "replicas")
		out[u.GetName()] = n
	}
	return out, err
}

// lists asks for the objects of a kind that are the source's, but for those on their way out.
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

// apply puts an object of ours at the cluster as it is said here.
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

// size applies the pool.
func (w *warmPool) size(ctx context.Context, name string, n int) error {
	if err := w.p.at("pool"); err != nil {
		return err
	}
	return w.p.objects.apply(ctx, warmPools, map[string]any{
		"apiVersion": warmPools.GroupVersion().String(), "kind": "SandboxWarmPool", "metadata": w.p.objects.head(name),
		"spec": map[string]any{"replicas": int64(n), "sandboxTemplateRef": map[string]any{"name": name}},
	})
}

// found puts the template there, and then a pool of n.
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

// drawn has what a claim is made from be there, and returns its name. It makes nothing warm: that
// is Reserve's. done is to be called when the claim is made or failed.
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
			// the template was edited, and what stands there of the one before is nobody's any more
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

// seenWithin is how long agent-sandbox gets to see a new pool: it looks at a claim of a pool that
// it does not know again after a minute.
const seenWithin = 5 * time.Second

// noticed waits until agent-sandbox knows a pool and its template: it says so in both. One that
// says nothing is not waited for any longer than seenWithin.
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

// refound puts the template and the pool there again, which somebody took away while a claim needs
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

// Reserves tells what the source says of its warm pool, and how long its sandboxes take to stand
// there.
func (p *Provider) Reserves() (a compute.Ahead, ok bool) {
	if !p.owns() {
		return a, false
	}
	return compute.Ahead{Least: p.o.Warm, Lead: p.podWatch().took(p.o.Source), Place: p.c.key}, true
}

// Reserve has n sandboxes stand in the source's warm pool, made if it is not there. With 0 the pool
// and its template are taken away, unless a claim needs them. Where all is so nothing is written.
// What is there of the source's templates of before goes.
func (p *Provider) Reserve(ctx context.Context, n int) error {
	return p.fault("Reserve", compute.ID(p.o.Source), p.pool.reserve(ctx, n))
}

func (w *warmPool) reserve(ctx context.Context, n int) error {
	if !w.p.owns() {
		return &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("the source has no warm pool of its own")}
	}
	if _, err := w.p.c.ask(); err != nil {
		return err
	}
	s, err := w.stock()
	if err != nil && n > 0 {
		return err // to take away it need not be known what to make
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
	// before the claims are looked at: one that is made meanwhile is either
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

// drawnFrom is which warm pools the claims of the source came from.
func (w *warmPool) drawnFrom(ctx context.Context) (map[string]bool, error) {
	list, err := w.p.watch().list(ctx, w.p.o.Source)
	out := map[string]bool{}
	for _, c := range list {
		if w.p.objects.owned(c) && c.Metadata.DeletionTimestamp == nil { // what goes needs nothing
			out[c.Metadata.Annotations[notePool]] = true
		}
	}
	return out, err
}

// clear takes away the pools and templates of the source that nothing needs, and empties pools of
// before that a claim needs still.
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
		// it was made this moment, and there was nothing before; a template that lost its pool is
		// found the next time
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
