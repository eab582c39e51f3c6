package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/config"
)

func TestTreesStayInside(t *testing.T) {
	w := newWorld(t)
	outside := w.file("~/elsewhere/source.conf", "type = fake")
	for _, root := range []string{".hostler", "~/.config/hostler"} {
		dir := filepath.Dir(w.file(root+"/sources/x/README", ""))
		os.Symlink(outside, filepath.Join(dir, "source.conf"))
	}
	if s := w.source("x"); s.Err != nil || s.Tree {
		t.Errorf("the user's own link: %v", s.Err)
	}
	os.RemoveAll(filepath.Join(w.home, ".config/hostler"))
	if s := w.source("x"); s.Err == nil || s.Type != "" {
		t.Errorf("a tree reads %s: %+v", outside, s)
	}
}

func TestTrustStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a/trust")
	s := config.TrustStore{Dir: dir}
	if l, err := s.List(); len(l) > 0 || err != nil {
		t.Errorf("l = %v err = %v; want len(l) <= 0 and no error", l, err)
	}
	for _, root := range []string{"/x", "/b/"} {
		if err := s.Approve(config.Danger{
			Root: root, Digest: "1", Items: []config.Item{{ApprovedItem: config.ApprovedItem{Name: "source a"}}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	files, _ := filepath.Glob(dir + "/*")
	for _, f := range append(files, dir) {
		if info, _ := os.Stat(f); info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %v", f, info.Mode())
		}
	}
	if l, err := s.List(); len(l) != 2 || l[0].Root != "/b" || l[1].Time.IsZero() || l[1].Items[0].Name != "source a" || err != nil {
		t.Errorf(
			"l = %+v err = %v"+
				`; want len(l) == 2 and l[0].Root == "/b" and !l[1].Time.IsZero() and l[1].Items[0].Name `+
				`== "source a" and no error`,
			l, err,
		)
	}
	os.WriteFile(files[0], []byte("{"), 0o600)
	if l, err := s.List(); len(l) != 1 || err == nil {
		t.Errorf("a torn file: %v %v", l, err)
	}
	for range 2 { // twice is as good as once
		if err := s.Revoke("/x"); err != nil {
			t.Error(err)
		}
	}
	if (config.TrustStore{}).Approve(config.Danger{Root: "/x", Digest: "1"}) == nil {
		t.Error("an approval went nowhere")
	}
}
