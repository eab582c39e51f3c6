package kubernetes_test

import (
	"errors"
	"testing"

	"github.com/hostler-project/hostler/compute"
)

// TestCutIsNoSuccess has a script's stream end without the script's own end, which API servers call
// success: what it said until then is not taken for all.
func TestCutIsNoSuccess(t *testing.T) {
	t.Parallel()
	p := open(t, site(t))
	_ = ready(t, p, "suite-1").Close()
	for script, want := range map[string]error{
		"echo a; echo b; exit": nil, "echo a; echo b": nil, "printf 'a\nb'": nil,
		// a shell that ends so says nothing
		"echo a; trap - EXIT": compute.ErrLost, "echo a; exec true": compute.ErrLost,
	} {
		if said, err := p.Says(t.Context(), "suite-1", script); !errors.Is(err, want) || want == nil && said != "a\nb" {
			t.Errorf("%s: said = %q, err = %v; want error want and (want != nil or said == \"a\\nb\")", script, said, err)
		}
	}
	if _, err := p.Says(t.Context(), "suite-1", "echo a; exit 3"); err == nil || err.Error() != "status 3" {
		t.Errorf("a script that fails: %v", err)
	}
}
