package access

import (
	"testing"

	"github.com/hostler-project/hostler/auth"
)

// TestLacks blames the token where that is what ends, and not the role of its owner.
func TestLacks(t *testing.T) {
	viewer := map[string]auth.Role{"": auth.Viewer}
	for want, p := range map[string]auth.Principal{
		"permission denied: this token goes no further than viewer":                     {Name: "ann", Token: "t", Roles: viewer},
		"permission denied: this token goes no further than the permission meter":       {Token: "t", Roles: viewer, Only: auth.Meter},
		"permission denied: your role does not have the permission take":                {Name: "ann", Roles: viewer},
		"permission denied: ann is in no project of this controller":                    {Name: "ann", Token: "t"},
		"permission denied: this is a lease's own token, which is for that lease alone": {Lease: "l"},
	} {
		if got := Lacks(p, auth.Take).Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
