package provider_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

func TestChoose(t *testing.T) {
	things := []provider.Named{
		{"1", "256 server"}, {"2", "512 server"}, {"3", "512 server"}, {"4", "large"}, {"5", "larger"}, {"large", "odd"},
	}
	for _, c := range []struct {
		want string
		at   int
		kind error
	}{
		{"1", 0, nil}, {"256 server", 0, nil}, {"256", 0, nil}, {"512 server", -1, compute.ErrConflict},
		{"512", -1, compute.ErrConflict}, {"large", 5, nil},
		{"larger", 4, nil}, {"lar", -1, compute.ErrConflict}, {"o", 5, nil}, {"medium", -1, compute.ErrNotFound},
		{"", -1, compute.ErrNotFound},
	} {
		at, err := provider.Choose(things, "flavors", c.want)
		if at != c.at || (c.kind == nil) != (err == nil) || c.kind != nil && !errors.Is(err, c.kind) {
			t.Errorf("Choose(%q) = %d, %v", c.want, at, err)
		}
	}
	_, err := provider.Choose(things, "flavors", "512 server")
	if h := compute.Hint(err); !strings.Contains(h, "2 (512 server), 3 (512 server)") {
		t.Errorf("an ambiguous name's hint %q has no ids", h)
	}
}

func TestChooseImageNear(t *testing.T) {
	images := []provider.Named{
		{"i1", "debian-12"}, {"i2", "debian-13"}, {"i3", "ubuntu 24.04"}, {"i4", "ubuntu 24.10"}, {"i5", "x"},
		{"i6", "y"},
	}
	for want, at := range map[string]int{"i5": 4, "debian": 1, "debian-1": 1, "ubuntu": 3, "debian-12": 0} {
		if got, err := provider.ChooseImage(images, want); got != at || err != nil {
			t.Errorf("ChooseImage(%q) = %d, %v, want %d", want, got, err, at)
		}
	}
	_, err := provider.ChooseImage(images, "Debain")
	if h := compute.Hint(err); !errors.Is(err, compute.ErrNotFound) ||
		!strings.HasPrefix(h, "there are i1 (debian-12), i2 (debian-13)") || !strings.HasSuffix(h, "and 1 more") {
		t.Errorf("%v, hint %q", err, h)
	}
	_, err = provider.ChooseImage(images[4:], "x ")
	if err == nil {
		t.Error("a name that nothing begins with")
	}
	huge := []provider.Named{{Name: "v9"}, {Name: "v100000000000000000000000"}, {Name: "v010"}}
	if got, err := provider.ChooseImage(huge, "v"); got != 1 || err != nil {
		t.Errorf("got = %d, err = %v; want got == 1 and no error", got, err)
	}
}
