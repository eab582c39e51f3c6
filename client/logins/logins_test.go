package logins_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/client/logins"
	"github.com/hostler-project/hostler/compute"
)

// TestChange: what is changed is read again, and a file that others can read is refused.
func TestChange(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state", "logins.json")
	if all, err := logins.Read(file); err != nil || len(all.Addresses()) > 0 {
		t.Fatalf("all = %+v, err = %v; want none and no error", all, err)
	}
	for _, address := range []string{"https://b.example", "https://a.example"} {
		signIn := func(l *logins.All) { l.Controllers[address], l.Current = logins.Login{Token: "t"}, address }
		if err := logins.Change(file, signIn); err != nil {
			t.Fatal(err)
		}
	}
	all, err := logins.Read(file)
	if got := all.Addresses(); err != nil || len(got) != 2 || got[0] != "https://a.example" || all.Current != got[0] {
		t.Errorf("all = %+v, err = %v; want both, and the last one current", all, err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := logins.Read(file); !errors.Is(err, compute.ErrDenied) {
		t.Errorf("err = %v; want ErrDenied for a file that others can read", err)
	}
}

func TestAddress(t *testing.T) {
	for typed, want := range map[string]string{
		"hostler.example": "https://hostler.example", "https://H.example:443/": "https://h.example", "http://h:7070/x/": "http://h:7070/x",
		"ftp://h": "", "https://u@h": "", "https://": "", "https://h?q": "",
	} {
		if got, err := logins.Address(typed); got != want || (err == nil) != (want != "") {
			t.Errorf("Address(%q) = %q, %v; want %q", typed, got, err, want)
		}
	}
}
