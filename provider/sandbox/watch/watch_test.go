package watch

import (
	"strings"
	"testing"
)

// TestRead: of a report that a hostile program wrote no more is taken than its bounds allow.
func TestRead(t *testing.T) {
	forged := Report{More: -1, Unread: -7}
	for range maxPaths + 13 {
		forged.Lookups = append(forged.Lookups, Lookup{Path: []byte("/a"), Place: []byte("/a")})
	}
	forged.Lookups[1].Path = []byte("relative")
	forged.Lookups[2].Place = []byte("/nul\x00")
	forged.Lookups[3].Path = []byte("/" + strings.Repeat("x", 3*maxPath))
	for range maxUses + 5 {
		forged.Lookups[0].Uses = append(forged.Lookups[0].Uses, Use{strings.Repeat("p", 2*maxPath), strings.Repeat("c", 99), 1})
	}
	var text strings.Builder
	if err := forged.write(&text); err != nil {
		t.Fatal(err)
	}
	r, err := Read(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Lookups) != maxPaths || len(r.Lookups[0].Uses) != maxUses || r.More != 0 || r.Unread != 0 {
		t.Errorf("%d lookups, %d uses, %d more, %d unread", len(r.Lookups), len(r.Lookups[0].Uses), r.More, r.Unread)
	}
	if u := r.Lookups[0].Uses[0]; len(u.Program) != maxPath || len(u.Call) != 16 {
		t.Errorf("a program of %d bytes, a call of %d", len(u.Program), len(u.Call))
	}
	for _, text := range []string{"", "{", "[]", "{}\n[]", "{}\n{\"Uses\":7}", "{}\n{\"Program\":\"" + strings.Repeat("x", maxLine)} {
		if _, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%q is a report", text)
		}
	}
}
