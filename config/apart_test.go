package config

import (
	"testing"

	"github.com/hostler-project/hostler/provider/catalog"
	"github.com/hostler-project/hostler/provider/kubernetes"
	"github.com/hostler-project/hostler/provider/vm"
)

// TestDigestApart: of a type that tells what its computers were made like few keys make another
// source of it.
func TestDigestApart(t *testing.T) {
	kinds := catalog.Table{kubernetes.Kind, vm.Kind}
	of := func(typ, key, value string) string {
		s := &Source{
			Name: "s", Type: typ, Kind: kinds.Kind(typ), Root: "/etc/hostler",
			Settings: map[string]string{"image": "debian:13", "context": "c", "cores": "1"},
		}
		if key != "" {
			s.Settings[key] = value
		}
		return s.digest()
	}
	for _, c := range []struct {
		typ, key string
		same     bool
	}{
		{"kubernetes", "image", true}, {"kubernetes", "cores", true}, {"kubernetes", "env", true},
		{"kubernetes", "schedule-wait", true}, {"kubernetes", "agent-image", true},
		{"kubernetes", "context", false}, {"kubernetes", "namespace", false}, {"kubernetes", "container", false},
		{"kubernetes", "network", false}, {"kubernetes", "security", false}, {"kubernetes", "volumes", false},
		{"vm", "image", false}, {"vm", "cores", false},
	} {
		if same := of(c.typ, "", "") == of(c.typ, c.key, "another"); same != c.same {
			t.Errorf("%s: another %s leaves the digest as it was: %v, want %v", c.typ, c.key, same, c.same)
		}
	}
	a, b := &Source{Kind: kubernetes.Kind, Root: "/a"}, &Source{Kind: kubernetes.Kind, Root: "/b"}
	if a.digest() == b.digest() {
		t.Error("two roots' sources are one")
	}
}
