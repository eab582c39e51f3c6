package kubernetes

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"

	"github.com/hostler-project/hostler/compute"
)

// A source's network policy has the digest of what it says in its name and in the label of the pods
// that it selects. So where network or egress change, pods that are in use keep what they were made
// with, and processes that know the source before and after do not write one another's.

const (
	policyLasts = time.Minute // how old a look at the policies may be when the next pod is made
	// how long a policy is there after its last pod: another process may be about to make one
	policyStays = 10 * time.Minute
)

// networkPolicies are a source's, as far as they are known.
type networkPolicies struct {
	p *Provider
	// had while they are looked at: those who come meanwhile need not look
	turn   turn
	looked time.Time // zero: not yet, or all is to be looked at anew
	own    bool      // the one of now is there
	// all of them by name, with since when there has been no pod of it; zero: there is one, or
	// nobody has looked
	idle map[string]time.Time
}

// networkSpec is what the network policy says, but for whom it selects; nil: there is none. What
// may be reached at all the cluster's network plugin enforces. Empty lists are said too: so they
// are ours, and what somebody puts there goes again.
func (o *Options) networkSpec(egress []any) map[string]any {
	switch {
	case o.Network == "open":
		return nil
	case o.Network == "egress":
		return map[string]any{"policyTypes": []any{"Ingress"}, "ingress": []any{}}
	case egress == nil:
		egress = []any{}
	}
	return map[string]any{"policyTypes": []any{"Ingress", "Egress"}, "ingress": []any{}, "egress": egress}
}

// networkOf is a digest of that, as it stands in a label; "": there is no policy. The pods of
// claims have other labels, and a policy of theirs: else one of the other kinds, when kind is
// changed while there are some, would take it from them.
func (o *Options) networkOf(egress []any) (string, error) {
	spec := o.networkSpec(egress)
	if spec == nil {
		return "", nil
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return "", err
	}
	if o.Kind == "claim" {
		text = append(text, " of claims"...)
	}
	sum := sha256.Sum256(text)
	return strings.ToLower(base32.HexEncoding.EncodeToString(sum[:5])), nil
}

// policy is the source's network policy; nil: none.
func (n *networkPolicies) policy() *unstructured.Unstructured {
	spec := n.p.o.networkSpec(n.p.plan.egress)
	if spec == nil {
		return nil
	}
	spec["podSelector"] = map[string]any{"matchLabels": n.p.build.podLabels()}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
		"metadata": n.p.objects.head(n.p.podName(compute.ID(n.p.o.Source)) + "-" + n.p.plan.network), "spec": spec,
	}}
}

// protect has the source's network policy be there, as it has to be, before a pod is made: it
// looks, unless it has done so a short while ago, and writes only what differs.
func (n *networkPolicies) protect(ctx context.Context, now time.Time) error {
	policy := n.policy()
	if policy == nil {
		return nil
	}
	if err := n.turn.take(ctx); err != nil {
		return err
	}
	defer n.turn.end()
	return n.fortify(ctx, policy, now)
}

// fortify is protect for who has the turn.
func (n *networkPolicies) fortify(ctx context.Context, policy *unstructured.Unstructured, now time.Time) error {
	if n.own && now.Sub(n.looked) < policyLasts {
		return nil
	}
	err := n.survey(ctx, policy, now)
	if err == nil && !n.own {
		if err = n.p.at("policy"); err != nil {
			return err
		}
		err = n.p.objects.apply(ctx, policies, policy.Object)
		if err == nil {
			n.own, n.idle[policy.GetName()] = true, time.Time{}
		}
	}
	if hint, kind := kindOf(err); err != nil && kind == compute.ErrDenied {
		return &compute.Error{Kind: kind, Err: err, Hint: hint + "; or set network = open"}
	}
	return err
}

// survey looks which network policies the source has. policy is that of now; nil: none. The caller
// has the turn.
func (n *networkPolicies) survey(ctx context.Context, policy *unstructured.Unstructured, now time.Time) error {
	all, err := n.p.objects.lists(ctx, policies)
	if err != nil {
		n.looked = time.Time{}
		return err
	}
	was := n.idle
	n.looked, n.own, n.idle = now, false, map[string]time.Time{}
	for _, u := range all {
		n.idle[u.GetName()] = was[u.GetName()]
		if policy != nil && u.GetName() == policy.GetName() {
			n.own = sameSpec(u.Object["spec"], policy.Object["spec"])
		}
	}
	return nil
}

// patrol sees to the source's network policies where it is overseen: that of its pods is there
// again soon when somebody took it away or changed it; those that no pod needs go, and when there
// has been no pod for a while all do. What another is looking at or making just now is left to him.
func (n *networkPolicies) patrol(ctx context.Context, now time.Time) error {
	all, err := n.p.watch().list(ctx, n.p.o.Source)
	if err != nil {
		return err
	}
	needed := map[string]bool{}
	for _, in := range all {
		if n.p.objects.owned(in) {
			needed[in.Metadata.Labels[labelNetwork]] = true
		}
	}
	if !n.p.pool.founding.try() { // by who asks the API server, for claims
		needed[n.p.plan.network] = true
	} else {
		if n.p.pool.reserved > 0 || n.p.pool.drawing.Load() > 0 {
			needed[n.p.plan.network] = true
		}
		n.p.pool.founding.end()
	}
	policy := n.policy()
	f := n
	if !f.turn.try() {
		return nil
	}
	defer f.turn.end()
	switch {
	case policy != nil && needed[n.p.plan.network]:
		err = n.fortify(ctx, policy, now)
	case f.looked.IsZero() || now.Sub(f.looked) >= policyLasts && len(f.idle) > 0:
		// nobody else makes one while there is no pod
		// an open source needs no right to policies
		if err = n.survey(ctx, policy, now); apierrors.IsForbidden(err) && policy == nil {
			f.looked, err = now, nil
		}
	}
	if err != nil {
		return err
	}
	for name, since := range f.idle {
		switch network := name[strings.LastIndexByte(name, '-')+1:]; {
		case needed[network]:
			f.idle[name] = time.Time{}
		case since.IsZero():
			f.idle[name] = now
		case now.Sub(since) >= policyStays:
			if is, err := n.shields(ctx, network); err != nil {
				return err
			} else if is {
				f.idle[name] = time.Time{}
				continue
			}
			if err := n.p.objects.remove(ctx, policies, name); err != nil {
				return err
			}
			f.looked, f.own = time.Time{}, false
		}
	}
	return nil
}

// shields asks whether there is a pod, or a warm pool that may have some at any time, for a network
// policy of the source. Not all of them are on our own list: while the source's kind is being
// changed there are those of before, and what stands in a warm pool, for which another process may
// see to it, is no instance.
func (n *networkPolicies) shields(ctx context.Context, network string) (bool, error) {
	if n.p.owns() {
		if there, err := n.p.pool.pools(ctx); err != nil || len(there) > 0 {
			return true, err
		}
	}
	for _, of := range [][]string{
		{labelInstallation, labelSource, labelNetwork}, {claimLabelInstallation, claimLabelSource, claimLabelNetwork},
	} {
		selector := fmt.Sprintf("%s=%s,%s=%s,%s=%s", of[0], n.p.o.Installation, of[1], sourceLabel(n.p.o.Source), of[2], network)
		var list *unstructured.UnstructuredList
		err := n.p.c.call(ctx, func(ctx context.Context, d dynamic.Interface) (err error) {
			list, err = d.Resource(pods).Namespace(n.p.c.namespace).List(ctx, metav1.ListOptions{LabelSelector: selector, Limit: 1})
			return err
		})
		if err != nil || len(list.Items) > 0 {
			return true, err
		}
	}
	return false, nil
}

// holes names the network policies of others that select pods of such labels and let something
// through: policies add up, so it gets through whatever ours says.
func (n *networkPolicies) holes(ctx context.Context, of map[string]string) (out []string, err error) {
	if n.p.o.Network == "open" {
		return nil, nil
	}
	var list *unstructured.UnstructuredList
	err = n.p.c.call(ctx, func(ctx context.Context, d dynamic.Interface) (err error) {
		list, err = d.Resource(policies).Namespace(n.p.c.namespace).List(ctx, metav1.ListOptions{})
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, u := range list.Items {
		var is struct {
			Spec struct {
				PodSelector metav1.LabelSelector `json:"podSelector"`
				Ingress     []any                `json:"ingress"`
				Egress      []any                `json:"egress"`
			} `json:"spec"`
		}
		if u.GetLabels()[labelInstallation] == n.p.o.Installation && u.GetAnnotations()[noteSource] == n.p.o.Source {
			continue
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &is); err != nil {
			return nil, fmt.Errorf("the network policy %s: %w", u.GetName(), err)
		}
		selects, err := metav1.LabelSelectorAsSelector(&is.Spec.PodSelector)
		if err != nil {
			return nil, fmt.Errorf("the network policy %s: %w", u.GetName(), err)
		}
		if selects.Matches(labels.Set(of)) && (len(is.Spec.Ingress) > 0 || n.p.o.Network == "none" && len(is.Spec.Egress) > 0) {
			out = append(out, u.GetName())
		}
	}
	return out, nil
}

// sameSpec compares what is at the cluster with what is to be there: an API server leaves out what
// is empty.
func sameSpec(a, b any) bool {
	var x, y any
	for from, to := range map[*any]*any{&a: &x, &b: &y} {
		text, err := json.Marshal(*from)
		if err == nil {
			err = json.Unmarshal(text, to)
		}
		if err != nil {
			return false
		}
	}
	return reflect.DeepEqual(bare(x), bare(y))
}

// bare is a document without what is empty in it.
func bare(v any) any {
	of, ok := v.(map[string]any)
	if !ok {
		return v
	}
	for key, inner := range of {
		switch inner := bare(inner).(type) {
		case map[string]any:
			if len(inner) == 0 && key != "podSelector" {
				delete(of, key)
			}
		case []any:
			if len(inner) == 0 {
				delete(of, key)
			}
		}
	}
	return of
}
