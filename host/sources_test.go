package host

import (
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
)

// TestDeclaredSize: what counts under quotas before an instance is there is what it will tell then.
func TestDeclaredSize(t *testing.T) {
	for _, c := range []struct {
		typ, cores, memory string
		want               compute.Resources
	}{
		{"vm", "4", "8G", compute.Resources{Cores: 4, Memory: 8 << 30}},
		{"fake", "0.5", "", compute.Resources{Cores: 0.5}},
		{"vm", "", "", compute.Resources{}},
		{"vm", "many", "much", compute.Resources{}},
		{"vm", "-3", "1G", compute.Resources{}},
		{"sandbox", "64", "1T", compute.Resources{}}, // no more than this machine has
		{"container", "4", "8G", compute.Resources{}},
	} {
		s := &config.Source{Type: c.typ, Kind: Kinds().Kind(c.typ), Settings: map[string]string{"cores": c.cores, "memory": c.memory}}
		if got := declaredSize(s); got != c.want {
			t.Errorf("%s with cores %q and memory %q: %+v, want %+v", c.typ, c.cores, c.memory, got, c.want)
		}
	}
}
