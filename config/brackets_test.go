package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/config"
)

// Brackets in a section's name go in pairs: so a URL with an address of IPv6 is one.
func TestBracketsInSections(t *testing.T) {
	const master, bare = "multimaster http://[2001:db8::1]:5000/", "multimaster http://[::1]"
	w := newWorld(t)
	w.file(
		"~/.config/hostler/hostler.conf",
		"["+master+"]  # the other one [x]\nkey = a\n[ "+bare+" ]\nkey = b\n[slap] ; ours [y]\ncomputer = C\n["+strings.Replace(bare, "::1", "::2", 1)+"]\n",
	)
	c := w.load()
	if c.Sections[master]["key"].Text != "a" || c.Sections[bare]["key"].Text != "b" ||
		c.Sections["slap"]["computer"].Text != "C" || len(c.Sections) != 4 {
		t.Errorf(
			"c.Sections = %v"+
				`; want c.Sections[master]["key"].Text == "a" and c.Sections[bare]["key"].Text == "b" and `+
				`c.Sections["slap"]["computer"].Text == "C" and len(c.Sections) == 4`,
			c.Sections,
		)
	}
	for _, bad := range []string{"[slap", "[multimaster http://[::1]:5000/", "[slap]]", "[slap] [x]", "[]", "slap]"} {
		w.file("~/.config/hostler/hostler.conf", bad+"\n")
		if _, err := config.Load(w.opt); err == nil || !strings.Contains(err.Error(), "hostler.conf:1: is not ") {
			t.Errorf(`%s: err = %v; want an error and err.Error() with "hostler.conf:1: is not "`, bad, err)
		}
	}
}

// TestLacks: a source was taken out where its root is read and has it no more; not where it is
// shadowed, or where nobody can know.
func TestLacks(t *testing.T) {
	w := newWorld(t)
	user, system := filepath.Join(w.home, ".config", "hostler"), filepath.Join(w.home, "etc")
	w.file("~/.config/hostler/sources/web/source.conf", "type = fake\n")
	w.file("~/etc/sources/web/source.conf", "type = fake\n")
	w.file("~/etc/sources/broken/source.conf", "type =\n")
	c := w.load()
	for _, is := range []struct {
		name, root string
		lacks      bool
	}{
		{"web", user, false}, {"web", system, false}, {"broken", system, false}, {"broken", user, true},
		{"none", user, true}, {"none", "/no/such/root", false}, {"none", "", false}, {"local", "", false},
	} {
		if got := c.Lacks(is.name, is.root); got != is.lacks {
			t.Errorf("%s in %q: %v, want %v", is.name, is.root, got, is.lacks)
		}
	}
	if err := os.Rename(system, system+".away"); err != nil {
		t.Fatal(err)
	}
	if w.load().Lacks("broken", system) {
		t.Error("a root that is not there is taken for one that was emptied")
	}
}
