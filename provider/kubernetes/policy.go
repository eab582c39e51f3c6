package kubernetes

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/kubernetes/manifest"
)

// The name of a source's network policy has a digest of its content. So has the label by which it
// selects pods. When network or egress change, running pods keep their policy. Processes with the
// old and the new settings do not overwrite each other's.

const (
	policyLasts = time.Minute // how old our last look may be when the next pod is made
	// so long a policy stays after its last pod, as another process may be about to make one
	policyStays = 10 * time.Minute
)

// networkPolicies are what is known of a source's network policies.
type networkPolicies struct {
	p *Provider
	// held during a look at the policies; a goroutine that waits for it need not look again
	turn   turn
	looked time.Time // zero: never, or everything must be looked at again
	own    bool      // the current one exists
	// since when each policy, by name, has had no pod. zero: it has one, or nobody has looked.
	idle map[string]time.Time
}

// networkSpec returns the content of the network policy without its selector. nil: there is none.
// The cluster's network plugin enforces it. Empty lists are included: then they are ours, and
// entries that somebody adds are removed.
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

// networkOf returns a digest of that for the label. "": there is no policy. Claims' pods have other
// labels, so they get a policy of their own. Else a change of kind would take the policy from the
// running ones.
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

// policy returns the source's network policy. nil: there is none.
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

// protect makes sure before a pod is made that the source's network policy exists and is right. It
// looks at most once a minute, and writes only what differs.
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

// fortify is protect for a caller that has the turn.
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

// survey looks which network policies the source has. policy is the current one; nil: none. The
// caller has the turn.
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
			n.own = manifest.Same(u.Object["spec"], policy.Object["spec"])
		}
	}
	return nil
}

// patrol cares for the source's network policies in the background. It restores the current one if
// somebody removed or changed it. It removes those without pods after a while. What another process
// is looking at or making now is left to that process.
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
	if !n.p.pool.founding.try() { // held while a claim is being made
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
		// no other process makes a policy while there is no pod
		//
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

// shields reports whether a network policy of the source still has a pod, or a warm pool that may
// have some. Our own list does not have them all. When the kind changes, there are pods of the old
// one. The pods of a warm pool are no instances, and another process may use it.
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

// holes names others' network policies that select such pods and allow something. Policies add up,
// so the traffic passes whatever ours says.
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
