package kubernetes

import (
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// TestTemplateOfKeys: what pods are made like changes with the keys that they are made of, and with
// no others; each pod says what it was made like, whatever its request asks for, and the same
// before the cluster was asked for anything.
func TestTemplateOfKeys(t *testing.T) {
	for _, kind := range []string{"pod", "sandbox", "claim"} {
		base := Options{Kind: kind, Image: "debian:13", Cores: 1}
		of := func(change func(*Options)) string {
			o := base
			change(&o)
			p := opened(t, o)
			p.c.namespace = ""
			first, err := p.Template()
			if err != nil || first == "" {
				t.Fatalf("%s: Template: %q %v", kind, first, err)
			}
			p.c.namespace, p.seen = "ns", readTemplate{}
			if now, err := p.Template(); err != nil || now != first {
				t.Errorf("%s: %s once the namespace is known, %s before: %v", kind, now, first, err)
			}
			for _, spec := range []compute.Spec{
				{ID: "web-1"}, {ID: "web-2", Image: "alpine:3", Memory: 1 << 40, GPUs: 1, Location: "north"},
			} {
				if kind == "claim" {
					break // it says of which pool it is
				}
				u, err := p.build.manifest(spec)
				if err != nil {
					t.Fatal(err)
				}
				if _, notes := meta(u); notes[noteTemplate] != first {
					t.Errorf("%s: the pod of %s says that it is made like %v, not %s", kind, spec.ID, notes[noteTemplate], first)
				}
			}
			return first
		}
		was := of(func(*Options) {})
		for _, c := range []struct {
			name   string
			change func(*Options)
			same   bool
		}{
			{"image", func(o *Options) { o.Image = "debian:12" }, false},
			{"cores", func(o *Options) { o.Cores = 2 }, false},
			{"env", func(o *Options) { o.Env = []string{"A=b"} }, false},
			{"tolerations", func(o *Options) { o.Tolerations = []string{"*"} }, false},
			{"agent-image", func(o *Options) { o.AgentIn = "agent:1" }, false},
			{"way", func(o *Options) { o.Way = "exec" }, true},
			{"schedule-wait", func(o *Options) { o.Schedule = time.Hour }, true},
			{"force-delete", func(o *Options) { o.Force = time.Hour }, true},
		} {
			if same := of(c.change) == was; same != c.same {
				t.Errorf("%s: with another %s pods are made the same: %v, want %v", kind, c.name, same, c.same)
			}
		}
	}
	p := opened(t, Options{Kind: "claim", WarmPool: "theirs"})
	if sum, err := p.Template(); err != nil || sum != "" {
		t.Errorf("of somebody else's pool: %q %v", sum, err)
	}
}
