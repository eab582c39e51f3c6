package kubernetes_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/kubernetes"
)

// user writes a kubeconfig by which the lab's administrator acts as somebody else.
func user(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(lab.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	changed := strings.Replace(string(text), "  user: {token:", "  user: {as: "+name+", token:", 1)
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// role is a Role with some grants, bound to a user of its own name.
func role(name string, grants []kubernetes.Grant) string {
	var b strings.Builder
	fmt.Fprintf(&b, "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: %s}\nrules:\n", name)
	for _, g := range grants {
		fmt.Fprintf(&b, "- %s\n", g)
	}
	fmt.Fprintf(&b, "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: %s}\n"+
		"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %[1]s}\nsubjects: [{apiGroup: "+
		"rbac.authorization.k8s.io, kind: User, name: %[1]s}]\n", name)
	return b.String()
}

// without returns grants that lack one verb.
func without(grants []kubernetes.Grant, at int, verb string) []kubernetes.Grant {
	out := slices.Clone(grants)
	out[at].Verbs = slices.DeleteFunc(slices.Clone(out[at].Verbs), func(v string) bool { return v == verb })
	if len(out[at].Verbs) == 0 {
		out = slices.Delete(out, at, at+1)
	}
	return out
}

// TestGrants has a user live with exactly the rights that Grants says, for each kind; and a user
// who lacks one of them be told which, by Probe before and by what was tried, with the rule that
// gives it.
func TestGrants(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"pod", "sandbox", "claim", "own"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := site(t)
			o.Kind = kind
			if kind == "claim" {
				o.WarmPool, o.Image = "warm", ""
				lab.WarmPool(t, o.Namespace, 1)
			}
			own := kind == "own" // a warm pool of the source's own: of the rest claims tell
			if own {
				o.Kind = "claim"
			}
			grants := kubernetes.Grants(o)
			roles := role("all", grants)
			type lack struct {
				user, resource, verb string
				optional             bool
			}
			var lacks []lack
			for i, g := range grants {
				if own && g.Resource != "sandboxtemplates" && g.Resource != "sandboxwarmpools" {
					continue
				}
				for _, verb := range g.Verbs {
					name := fmt.Sprintf("lacks-%d-%s", i, verb)
					lacks = append(lacks, lack{name, g.Resource, verb, g.Optional})
					roles += role(name, without(grants, i, verb))
				}
			}
			lab.Ctl(t, roles, "apply", "-n", o.Namespace, "-f", "-")
			life := func(p *kubernetes.Provider, id compute.ID) error {
				if own {
					if err := open(t, o).Reserve(t.Context(), 0); err != nil { // as who may
						t.Fatal(err)
					}
					for _, n := range []int{1, 0} {
						if err := p.Reserve(t.Context(), n); err != nil {
							return err
						}
					}
				}
				if _, err := p.List(t.Context()); err != nil {
					return err
				}
				if _, err := p.Identity(t.Context(), id); err != nil {
					return err
				}
				if _, err := p.Create(t.Context(), compute.Spec{ID: id}); err != nil {
					return err
				}
				if _, err := p.Console(t.Context(), id); err != nil {
					return err
				}
				if err := entered(t.Context(), p, id); err != nil {
					return err
				}
				for end := time.Now().Add(patience); ; time.Sleep(again) {
					err := p.Destroy(t.Context(), id)
					switch {
					case errors.Is(err, compute.ErrNotFound):
						return nil
					case err != nil:
						return err
					case time.Now().After(end):
						return errors.New("it does not go")
					}
				}
			}
			all := o
			all.Kubeconfig = user(t, "all")
			p := open(t, all)
			computetest.Eventually(t, "the rights are there", func() error {
				_, err := p.Probe(t.Context(), compute.Spec{})
				return err
			})
			if err := life(p, "suite-1"); err != nil {
				t.Fatalf("with all rights: %v", err)
			}
			for n, l := range lacks {
				o := o
				o.Kubeconfig = user(t, l.user)
				if l.resource == "networkpolicies" {
					lab.Ctl(t, "", "delete", "networkpolicies", "--all", "-n", o.Namespace)
				}
				p := open(t, o)
				note, err := p.Probe(t.Context(), compute.Spec{})
				said := note + fmt.Sprint(err) + compute.Hint(err)
				if l.optional != (err == nil) || err != nil && !errors.Is(err, compute.ErrDenied) ||
					!strings.Contains(said, "we may not "+l.verb+" "+l.resource) || err != nil &&
					!strings.Contains(said, "resources: ["+l.resource+"], verbs: ["+l.verb+"]") {
					t.Errorf("Probe without %s of %s: %s", l.verb, l.resource, said)
				}
				err = life(p, compute.ID(fmt.Sprint("suite-", n+2)))
				if err == nil &&
					(l.resource == "pods/exec" && l.verb == "get" || l.verb == "list" && !own ||
						l.resource == "namespaces" || l.resource == "networkpolicies" && l.verb == "delete") {
					// SPDY does without the one, a watch that begins with all there is without the
					// other: not where the API server is older; policies stay for a while
					continue
				}
				want := fmt.Sprintf("cannot %s resource %q", l.verb, l.resource)
				if !errors.Is(err, compute.ErrDenied) || !strings.Contains(fmt.Sprint(err), want) ||
					!strings.Contains(compute.Hint(err), "resources: ["+l.resource+"], verbs: ["+l.verb+"]") {
					t.Errorf("without %s of %s: %v (%s)", l.verb, l.resource, err, compute.Hint(err))
				}
			}
		})
	}
}

// TestGrantsWritten has the Role in the documentation be what Grants says.
func TestGrantsWritten(t *testing.T) {
	text, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(text), "    kind: Role\n")
	if at < 0 {
		t.Fatal("no Role in docs/kubernetes.md")
	}
	var got []string
	for line := range strings.Lines(string(text)[at:]) {
		rule, ok := strings.CutPrefix(line, "    - ")
		if ok {
			got = append(got, strings.TrimSpace(rule))
		} else if line == "\n" {
			break
		}
	}
	var want []string
	for _, g := range kubernetes.Grants(kubernetes.Options{}) {
		want = append(want, g.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/kubernetes.md has the rules\n%s\nand Grants\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
