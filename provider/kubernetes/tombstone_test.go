package kubernetes

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestEpitaph: an instance ended of what its first pod ended of, though agent-sandbox made another
// under the same name that went with the claim, and though a call found it gone before the watch
// told why. Who heeds the cluster is told of each end, and of none that is our own.
func TestEpitaph(t *testing.T) {
	pod := func(uid, version, evicted string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"name": "web-1", "uid": uid, "resourceVersion": version,
				"labels":      map[string]any{labelInstallation: "here"},
				"annotations": map[string]any{noteInstance: "web-1", noteSource: "web"}},
			"status": map[string]any{
				"phase":      "Running",
				"conditions": []any{map[string]any{"type": "DisruptionTarget", "status": evicted, "reason": "EvictionByEvictionAPI"}},
			},
		}}
	}
	c, told := &cluster{}, 0
	defer c.heed(func() { told++ })()
	w := newWatch(c, watched{gvr: pods})
	do := func(what string, why string, news int, err error) {
		t.Helper()
		if got := w.deletionReason("web-1"); err != nil || !strings.Contains(got, why) || why == "" && got != "" || told != news {
			t.Errorf("%s: of its end is known %q, %d were told of, %v", what, got, told, err)
		}
	}
	do("made", "", 0, w.Add(pod("u1", "1", "False")))
	do("evicted", "evicted", 1, w.Delete(pod("u1", "2", "True")))
	do("another of its name", "evicted", 1, w.Add(pod("u2", "3", "False")))
	do("which went too", "evicted", 1, w.Delete(pod("u2", "4", "False")))

	w, told = newWatch(c, watched{gvr: pods}), 0
	do("made", "", 0, w.Add(pod("u1", "1", "False")))
	w.gone("web-1")
	do("found gone", "by somebody else", 1, nil)
	do("and then told why", "evicted", 2, w.Delete(pod("u1", "2", "True")))

	w, told = newWatch(c, watched{gvr: pods}), 0
	do("made", "", 0, w.Add(pod("u1", "1", "False")))
	w.deleting("u1", false)
	do("deleted by us", "", 0, w.Delete(pod("u1", "2", "False")))
}

// TestToldOf: a pod that was evicted, and then deleted by us, ended of the eviction.
func TestToldOf(t *testing.T) {
	evicted := "the pod has ended: evicted"
	for _, c := range []struct {
		told  *string
		text  string
		known bool
		want  string
		sure  bool
	}{
		{nil, "", true, "", true},
		{nil, podGone, true, podGone, true},
		{&evicted, podGone, true, evicted, true},
		{&evicted, "", true, evicted, true},
		{&evicted, "the cluster does not answer", false, evicted, true},
		{&evicted, podGone + ": preempted", true, podGone + ": preempted", true},
		{nil, "the cluster does not answer", false, "the cluster does not answer", false},
	} {
		if text, sure := toldOf(c.told, c.text, c.known); text != c.want || sure != c.sure {
			t.Errorf("of %q, %v: %q, %v", c.text, c.known, text, sure)
		}
	}
}
