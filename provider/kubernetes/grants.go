package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/hostler-project/hostler/compute"
)

// Grant is one rule of a Role: what may be done to a kind of object in a namespace.
type Grant struct {
	Group, Resource string
	Verbs           []string
	Optional        bool // instances do not need it
}

// String returns the rule as a Role has it.
func (g Grant) String() string {
	group := g.Group
	if group == "" {
		group = `""`
	}
	return fmt.Sprintf("{apiGroups: [%s], resources: [%s], verbs: [%s]}", group, g.Resource, strings.Join(g.Verbs, ", "))
}

// Grants returns exactly what the kubeconfig's user must be allowed in the source's namespace.
// Documentation and charts are checked against it. Of o it reads only kind, warm-pool, network and
// force-delete.
func Grants(o Options) []Grant {
	life, others := []string{"get", "list", "watch", "create", "delete"}, []string{"list", "watch"}
	if o.Force > 0 {
		others = append(others, "delete")
	}
	var out []Grant
	switch o.Kind {
	case "sandbox":
		out = append(out, Grant{Group: sandboxes.Group, Resource: sandboxes.Resource, Verbs: life}, Grant{Resource: "pods", Verbs: others})
	case "claim":
		out = append(out, Grant{Group: claims.Group, Resource: claims.Resource, Verbs: life}, Grant{Resource: "pods", Verbs: others})
		if o.WarmPool == "" {
			keep := []string{"list", "create", "patch", "delete"}
			out = append(
				out, Grant{Group: templates.Group, Resource: templates.Resource, Verbs: keep},
				Grant{Group: warmPools.Group, Resource: warmPools.Resource, Verbs: keep},
			)
		}
	default:
		out = append(out, Grant{Resource: "pods", Verbs: life})
	}
	// For exec over WebSocket, API servers before 1.35 want get alone, later ones create too. SPDY
	// needs create.
	out = append(out, Grant{Resource: "pods/exec", Verbs: []string{"get", "create"}})
	out = append(out, Grant{Resource: "events", Verbs: []string{"list"}, Optional: true})
	out = append(out, Grant{Resource: namespaces.Resource, Verbs: []string{"get"}, Optional: true})
	if o.Network != "open" && o.WarmPool == "" {
		out = append(out, Grant{Group: policies.Group, Resource: policies.Resource, Verbs: []string{"list", "create", "patch", "delete"}})
	}
	return out
}

// reviews are the objects that ask the API server what the caller may do. Everybody may ask.
var reviews = schema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "selfsubjectaccessreviews"}

// may asks whether we may use a verb on a resource in our namespace.
func (c *cluster) may(ctx context.Context, group, resource, verb string) (yes bool, err error) {
	resource, sub, _ := strings.Cut(resource, "/")
	err = c.call(ctx, func(ctx context.Context, d dynamic.Interface) error {
		got, err := d.Resource(reviews).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
			"spec": map[string]any{"resourceAttributes": map[string]any{
				"namespace": c.namespace, "verb": verb, "group": group, "resource": resource, "subresource": sub,
			}},
		}}, metav1.CreateOptions{})
		if err == nil {
			yes, _, err = unstructured.NestedBool(got.Object, "status", "allowed")
		}
		return err
	})
	return yes, err
}

// missing returns those of the source's grants that we do not have.
func (p *Provider) missing(ctx context.Context) (out []Grant, err error) {
	for _, g := range Grants(p.o) {
		lacks := Grant{Group: g.Group, Resource: g.Resource, Optional: g.Optional}
		for _, verb := range g.Verbs {
			yes, err := p.c.may(ctx, g.Group, g.Resource, verb)
			if err != nil {
				return nil, err
			}
			if !yes {
				lacks.Verbs = append(lacks.Verbs, verb)
			}
		}
		if lacks.Verbs != nil {
			out = append(out, lacks)
		}
	}
	return out, nil
}

// Probe asks the API server for all rights that the source needs. It also makes an instance as a
// dry run, which creates nothing.
func (p *Provider) Probe(ctx context.Context, spec compute.Spec) (note string, err error) {
	note, err = p.probe(ctx, spec)
	return note, p.fault("Probe", compute.ID(p.o.Source), err)
}

// probe checks the rights, makes the dry run, and notes what is optional and missing.
func (p *Provider) probe(ctx context.Context, spec compute.Spec) (note string, err error) {
	lacks, err := p.missing(ctx)
	if err != nil {
		return "", err
	}
	needed := slices.DeleteFunc(slices.Clone(lacks), func(g Grant) bool { return g.Optional })
	if len(needed) > 0 {
		return "", p.denied(needed)
	}
	var notes []string
	for _, g := range lacks {
		without := "the console of instances cannot be shown"
		if g.Resource == namespaces.Resource {
			without = "clusters can be told apart by what the kubeconfig says of them alone"
		}
		notes = append(notes, fmt.Sprintf("%s: %s", without, p.denied([]Grant{g}).(*compute.Error).Err))
	}
	spec.ID = compute.ID(p.o.Source + "-probe")
	s, err := p.pool.stock()
	if err == nil {
		err = p.build.alike(spec)
	}
	if err != nil {
		return "", err
	}
	object, err := p.build.object(spec, s.name)
	if err != nil {
		return "", err
	}
	object.SetName(object.GetName() + "-dry") // no instance has that name
	err = p.c.call(ctx, func(ctx context.Context, d dynamic.Interface) error {
		_, err := d.Resource(p.gvr).Namespace(p.c.namespace).Create(
			ctx, object, metav1.CreateOptions{FieldManager: "hostler", DryRun: []string{metav1.DryRunAll}},
		)
		return err
	})
	// a webhook with side effects forbids the dry run
	if apierrors.IsBadRequest(err) && strings.Contains(err.Error(), "does not support dry run") {
		err = nil
	}
	if err != nil {
		return "", err
	}
	holes, err := p.policies.holes(ctx, object.GetLabels())
	if len(holes) > 0 {
		notes = append(
			notes,
			fmt.Sprintf(
				"policies add up: what the network policies %s of the namespace let through gets to and from these pods too, whatever network says",
				strings.Join(holes, ", "),
			),
		)
	}
	return strings.Join(notes, "; "), err
}

// denied returns the error that lists all missing rights and the rules that would grant them.
func (p *Provider) denied(lacks []Grant) error {
	var not, rules []string
	for _, g := range lacks {
		name := g.Resource
		if g.Group != "" {
			name += "." + g.Group
		}
		not = append(not, strings.Join(g.Verbs, ", ")+" "+name)
		rules = append(rules, "- "+g.String())
	}
	return &compute.Error{
		Kind: compute.ErrDenied, Err: errors.New("in the namespace " + p.c.namespace + " we may not " + strings.Join(not, "; ")),
		Hint: "a Role in that namespace, bound to who we are there, needs the rules " + strings.Join(rules, " "),
	}
}
