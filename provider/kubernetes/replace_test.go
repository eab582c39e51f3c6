package kubernetes

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestReplace has a list that was made before a pod was not be taken for the pod's end: a
// controller that has just begun makes pods while its first list is on its way.
func TestReplace(t *testing.T) {
	pod := func(name, version string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{
			"name": name, "uid": "uid-" + name, "resourceVersion": version,
			"labels": map[string]any{labelInstallation: "here"}, "annotations": map[string]any{noteInstance: name, noteSource: "web"},
		}}}
	}
	w := newWatch(&cluster{}, watched{gvr: pods})
	w.synced = make(chan struct{})
	note := func(name, version string) {
		r, err := readPod(pod(name, version))
		if err != nil {
			t.Fatal(err)
		}
		w.note(r)
	}
	want := func(when, name string, there bool, why string) {
		t.Helper()
		if got := w.get(name) != nil; got != there {
			t.Errorf("%s: %s is there: %t", when, name, got)
		}
		if got := fmt.Sprint(w.deletionReason("web-1")); name == "web-1" && got != why {
			t.Errorf("%s: of its end is known %q", when, got)
		}
	}
	note("web-1", "20")
	if err := w.Replace([]any{pod("web-2", "5")}, "10"); err != nil {
		t.Fatal(err)
	}
	want("a list from before", "web-1", true, "")
	want("a list from before", "web-2", true, "")
	if err := w.Replace([]any{pod("web-2", "5")}, "30"); err != nil {
		t.Fatal(err)
	}
	want("a list from after", "web-1", false, "it was deleted, by somebody else")
	note("web-1", "20") // it is told all the same: then it lives
	want("told again", "web-1", true, "")
	note("web-2", "40")
	if err := w.Replace([]any{pod("web-2", "5")}, "30"); err != nil {
		t.Fatal(err)
	}
	if got := w.get("web-2").Metadata.ResourceVersion; got != "40" {
		t.Errorf("an older list goes above what is known: version %s", got)
	}
}
