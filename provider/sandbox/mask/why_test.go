//go:build linux

package mask_test

import (
	"testing"

	"github.com/hostler-project/hostler/provider/sandbox/mask"
)

// TestReasons: each path that is hidden has a reason, those that lie behind links too, and what is
// shown or is not there has none.
func TestReasons(t *testing.T) {
	h := newHost(t, t.TempDir())
	for _, p := range []string{"/home/alice/.ssh/id_ed25519", "/home/alice/.config/foo/conf", "/home/alice/go/pkg/mod/x",
		"/home/alice/project/own",
		"/etc/shadow", "/srv/data/file", "/tmp/note", "/home/alice/far/key", "/var/lib/hostler-own/row"} {
		h.file(p, "words")
	}
	h.link("/home/alice/.ssh/id_ed25519", "/home/alice/project/key")
	h.link("/srv/data", "/home/alice/.aws")
	h.link("/srv/nothing", "/home/alice/project/dangling")
	r, err := mask.Explain(mask.Options{Home: "/home/alice", UID: 12345, Root: h.root, Fresh: []string{"/tmp"},
		Tree:  []string{"/home/alice/project"},
		Extra: []string{"/home/alice/project/own"}, State: []string{"/var/lib/hostler-own"}})
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]mask.Reason{
		"/home/alice/.ssh/id_ed25519":  {"/home/alice/.ssh/id_ed25519", "/home/alice/.ssh", mask.Secret, "keys, and other hosts"},
		"/home/alice/project/key":      {"/home/alice/.ssh/id_ed25519", "/home/alice/.ssh", mask.Secret, "keys, and other hosts"},
		"/home/alice/.config/foo/conf": {"/home/alice/.config/foo/conf", "", mask.Unlisted, ""},
		"/home/alice/.aws/file":        {"/srv/data/file", "/home/alice/.aws", mask.Secret, ""},
		"/srv/data/file":               {"/srv/data/file", "/srv/data", mask.Secret, ""},
		"/home/alice/project/own":      {"/home/alice/project/own", "/home/alice/project/own", mask.Asked, ""},
		"/home/bob/letter":             {"/home/bob/letter", "/home", mask.Others, ""},
		"/etc/shadow":                  {"/etc/shadow", "/etc/shadow", mask.Secret, ""},
		"/tmp/note":                    {"/tmp/note", "/tmp", mask.Fresh, ""},
		"/var/lib/hostler-own/row":     {"/var/lib/hostler-own/row", "/var/lib/hostler-own", mask.Secret, ""},
		"/data/open":                   {"/data/open", "", mask.Unlisted, ""},
		"/home/alice/go/pkg/mod/x":     {},
		"/home/alice/project/main.go":  {},
		"/home/alice/project/dangling": {},
		"/home/alice/.ssh/absent":      {},
		"/usr/bin/true":                {},
		"relative":                     {},
	} {
		got, hidden := r.Of(p)
		if hidden != (want.Cause != "") || got.Path != want.Path || got.At != want.At || got.Cause != want.Cause {
			t.Errorf("%s: %v %+v, want %+v", p, hidden, got, want)
		}
		if hidden && got.Why == "" {
			t.Errorf("%s: no reason in words", p)
		}
	}
}
