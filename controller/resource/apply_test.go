package resource_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/controller/resource"
)

// applies has a site's objects applied, and takes leases for them too.
func (s *site) applies() {
	s.file(
		"hostler.conf",
		fmt.Sprintf("[resources]\nnamespaces = %s\napply = %s\nkubeconfig = %s\n", s.namespace, s.namespace, s.kubeconfig),
	)
}

// thing applies an object of a kind; spec is of JSON's.
func (s *site) thing(kind, name, spec string) {
	s.t.Helper()
	lab.Ctl(
		s.t,
		fmt.Sprintf(
			`{"apiVersion":"%s/%s","kind":%q,"metadata":{"name":%q,"namespace":%q},"spec":%s}`, resource.Group,
			resource.Version, kind, name, s.namespace, spec,
		),
		"apply", "-f", "-",
	)
}

// is waits until an object's condition Ready is so, with a message that has a text in it, for the
// object as it is.
func (s *site) is(plural, name, ready, text string) (o resource.Thing) {
	s.t.Helper()
	computetest.Eventually(s.t, plural+" "+name+" is "+ready, func() error {
		o = resource.Thing{}
		if err := json.Unmarshal(
			[]byte(lab.Ctl(s.t, "", "get", plural+"."+resource.Group, "-n", s.namespace, name, "-o", "json")), &o,
		); err != nil {
			return err
		}
		all := o.Status.Conditions
		if len(all) != 1 || all[0].Type != "Ready" || string(all[0].Status) != ready ||
			!strings.Contains(all[0].Reason+": "+all[0].Message, text) || all[0].ObservedGeneration != o.Generation {
			return fmt.Errorf("it is at %d, and %+v", o.Generation, all)
		}
		return nil
	})
	return o
}

// applied waits until so much was applied, as KIND/NAME.
func (s *site) applied(want ...string) {
	s.t.Helper()
	computetest.Eventually(s.t, fmt.Sprintf("%v is applied", want), func() error {
		var doc struct {
			Things []struct {
				Kind, Name, By string
				Labels         map[string]string
			}
		}
		s.get("/v1/applied", &doc)
		var got []string
		for _, t := range doc.Things {
			if t.By != "kubernetes:"+s.namespace || len(t.Labels) != 2 || t.Labels["kubernetes"] != s.namespace ||
				t.Labels["kubernetes-cluster"] == "" {
				return fmt.Errorf("%+v", t)
			}
			got = append(got, t.Kind+"/"+t.Name)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("there is %v", got)
		}
		return nil
	})
}

// TestSet follows sources, bundles and projects from their objects' making to their end.
func TestSet(t *testing.T) {
	t.Parallel()
	s := newSite(t, "set")
	s.applies()
	c := s.serve()
	s.thing(
		"Bundle", "tools",
		`{"conf":{"description":"what we need"},"files":[{"path":"scripts/10-tools","mode":"0755","text":"#!/bin/sh\n"}]}`,
	)
	s.thing("Project", "set", `{"conf":{"weight":1.5,"members":{"ann@example.org":"operator"},"quota":{"count":4}}}`)
	s.thing("Source", "made", `{"conf":{"type":"fake","maximum":3,"share":true,"reuse":false,"projects":["set"],"fake":{"cores":2}}}`)
	s.is("bundles", "tools", "True", "Applied")
	s.is("projects", "set", "True", "Applied")
	s.is("sources", "made", "True", "Applied")
	s.applied("bundle/tools", "project/set", "source/made")
	var doc struct{ Files []struct{ Path, Text string } }
	s.get("/v1/applied/source/made", &doc)
	if want := "maximum = 3\nprojects = set\nreuse = no\nshare = yes\ntype = fake\n\n[fake]\ncores = 2\n"; len(doc.Files) != 1 ||
		doc.Files[0].Text != want {
		t.Errorf("its files are %+v", doc.Files)
	}
	s.get("/v1/applied/project/set", &doc)
	if want := "weight = 1.5\n\n[members]\nann@example.org = operator\n\n[quota]\ncount = 4\n"; len(doc.Files) != 1 ||
		doc.Files[0].Text != want {
		t.Errorf("its files are %+v", doc.Files)
	}

	// What there is, people see there.
	s.lease("one", `{"source":"made","cores":1}`)
	s.phase("one", "Leased")
	s.thing("Source", "made", `{"conf":{"type":"fake","maximum":4,"share":true,"reuse":false,"projects":["set"],"fake":{"cores":2}}}`)
	computetest.Eventually(t, "the numbers are shown", func() error {
		row := strings.Fields(lab.Ctl(t, "", "get", "sources."+resource.Group, "-n", s.namespace, "--no-headers"))
		if len(row) != 7 || strings.Join(row[:6], " ") != "made fake 0 1 4 True" {
			return fmt.Errorf("%q", row)
		}
		return nil
	})

	// One that is wrong has nothing changed, and all that wait for it say so.
	s.thing("Source", "hooked", `{"conf":{"type":"fake"},"files":[{"path":"provision.d/10-here","mode":"0755","text":"#!/bin/sh\n"}]}`)
	s.is("sources", "hooked", "False", "Denied: source hooked: permission denied: sources/hooked/provision.d")
	s.thing("Source", "other", `{"conf":{"type":"fake"}}`)
	s.is("sources", "other", "False", "Denied: source hooked")
	s.is("sources", "made", "True", "Applied")
	s.thing("Source", "hooked", `{"conf":{"type":"fake","fake":{"run":{"deep":1}}}}`)
	s.is("sources", "hooked", "False", "Invalid: source hooked: spec.conf: run: is neither a plain value nor a list of them")
	s.thing("Source", "hooked", `{"conf":{"type":"fake","reserv":1}}`) // there is no file of it
	s.is("sources", "hooked", "False", "Invalid: source hooked: reserv: unknown key; did you mean reserve?")
	lab.Ctl(t, "", "delete", "sources."+resource.Group, "-n", s.namespace, "hooked")
	s.is("sources", "other", "True", "Applied")

	// What stands in a file is the file's.
	s.thing("Source", "web", `{"conf":{"type":"fake"}}`)
	if web := s.is("sources", "web", "False", "Conflict: source web: "); web.Status.Cached != nil || web.Status.Max != nil {
		t.Errorf("an object that is refused shows the numbers of the file's source: %+v", web.Status)
	}
	lab.Ctl(t, "", "delete", "sources."+resource.Group, "-n", s.namespace, "web")
	s.is("sources", "made", "True", "Applied")

	// What somebody changes otherwise is put right.
	empty := t.TempDir()
	if err := os.Mkdir(filepath.Join(empty, "sources"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out := s.hostler("apply", "-f", empty, "-l", "kubernetes=set", "--prune"); !strings.Contains(out, "source made pruned") {
		t.Errorf("apply prints %q", out)
	}
	s.applied("bundle/tools", "project/set", "source/made", "source/other")

	// What goes while no controller runs is taken away by the next.
	c.stop()
	lab.Ctl(t, "", "delete", "sources."+resource.Group, "-n", s.namespace, "other")
	s.serve()
	s.applied("bundle/tools", "project/set", "source/made")
	s.away("one")
	s.gone("one")
	lab.Ctl(t, "", "delete", "sources."+resource.Group+",bundles."+resource.Group+",projects."+resource.Group, "-n", s.namespace, "--all")
	s.applied()
}

// TestSetKilled kills the controller while it applies. The next one goes on.
func TestSetKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t, "set-killed")
	s.applies()
	for _, step := range []string{"set:apply", "set:applied"} {
		c := s.serve("HOSTLER_DIE=" + step)
		s.thing("Source", strings.TrimPrefix(step, "set:"), `{"conf":{"type":"fake"}}`)
		computetest.Eventually(t, "it is killed at "+step, func() error {
			select {
			case <-c.ended:
				return nil
			default:
				return errors.New("it lives")
			}
		})
	}
	s.serve()
	s.is("sources", "apply", "True", "Applied")
	s.is("sources", "applied", "True", "Applied")
	s.applied("source/applied", "source/apply")

	// The example of the documents, beside them.
	lab.Ctl(t, "", "apply", "-n", s.namespace, "-f", "../../docs/examples/kubernetes-resources.yaml")
	s.is("sources", "pods", "True", "Applied")
	s.applied("bundle/tools", "project/team-a", "source/applied", "source/apply", "source/pods")
}
