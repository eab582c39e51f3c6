package share_test

import (
	"testing"

	"github.com/hostler-project/hostler/compute/share"
)

func TestSizeOf(t *testing.T) {
	for _, c := range []struct {
		facts map[string]string
		want  string // "": not known
	}{
		{
			map[string]string{"cores": "4", "memory": "8589934592", "disk": "1610612736", "gpus": "1"},
			"4 cores, 8G memory, 1.5G disk, 1 GPU",
		},
		{map[string]string{"cores": "0.5", "memory": "much"}, "0.5 cores"},
		{map[string]string{"cores": "1"}, "1 core"},
		{map[string]string{"memory": "1024"}, ""},
		{map[string]string{"cores": "-1"}, ""},
		{map[string]string{"cores": "NaN"}, ""},
	} {
		a, ok := share.SizeOf(c.facts)
		if ok != (c.want != "") || ok && a.String() != c.want {
			t.Errorf("%v: %v %v, want %q", c.facts, a, ok, c.want)
		}
	}
}
