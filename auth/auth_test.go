package auth_test

import (
	"slices"
	"testing"

	"github.com/hostler-project/hostler/auth"
)

// TestRoles: each role may do what the one before it may, the first nothing, and the table has all
// permissions but those that are nobody's or everybody's.
func TestRoles(t *testing.T) {
	for r := auth.Viewer; r <= auth.Administrator; r++ {
		below, mine := (r - 1).Permissions(), r.Permissions()
		if below&mine != below || mine == below {
			t.Errorf("%v may %v, and %v %v", r, mine, r-1, below)
		}
		if back, err := auth.ParseRole(r.String()); err != nil || back != r {
			t.Errorf("%v is read as %v, %v", r, back, err)
		}
	}
	if got := auth.Nobody.Permissions(); got != 0 {
		t.Errorf("nobody may %v", got)
	}
	rest := (auth.Anyone | auth.Known | auth.Meter) &^ auth.Administrator.Permissions()
	if rest != auth.Anyone|auth.Known|auth.Meter {
		t.Errorf("a role has %v", auth.Administrator.Permissions())
	}
	for p := auth.Permission(1); p.Single(); p <<= 1 {
		if (rest|auth.Administrator.Permissions())&p == 0 {
			t.Errorf("no role has %v", p)
		}
		if p.String() == "" {
			t.Errorf("%b has no name", p)
		}
	}
	for _, bad := range []string{"", "root", "nobody", "Admin"} {
		if r, err := auth.ParseRole(bad); err == nil {
			t.Errorf("%q is read as %v", bad, r)
		}
	}
	some, err := auth.ParsePermissions("see", "use")
	if err != nil || some != auth.See|auth.Use || some.String() != "see,use" {
		t.Errorf(`some = %v, err = %v; want no error and some == auth.See|auth.Use and some.String() == "see,use"`, some, err)
	}
	for _, bad := range []string{"anyone", "known", "all", ""} {
		if p, err := auth.ParsePermissions(bad); err == nil {
			t.Errorf("%q is read as %v", bad, p)
		}
	}
}

// TestPrincipal: what somebody may is what he is in the thing's project, cut to what his token says
// and to the project that he has chosen.
func TestPrincipal(t *testing.T) {
	in := func(p auth.Principal, project string) auth.Principal {
		p, _ = p.Choose(project)
		return p
	}
	ann := auth.Principal{Name: "ann", Roles: map[string]auth.Role{"a": auth.Operator, "b": auth.Viewer}}
	one := auth.Principal{Name: "one", Roles: map[string]auth.Role{"a": auth.User}}
	root := auth.Principal{Name: "root", Everywhere: auth.Administrator}
	seen := auth.Principal{Name: "seen", Everywhere: auth.Viewer}
	figures := root
	figures.Only = auth.Meter
	reader := ann
	reader.Only = auth.See
	for _, test := range []struct {
		name    string
		who     auth.Principal
		what    auth.Permission
		project string
		may     bool
		wide    bool
		some    bool
	}{
		{"in his project", ann, auth.Others, "a", true, false, true},
		{"in the other", ann, auth.Take, "b", false, false, true},
		{"in the other as viewer", ann, auth.See, "b", true, false, true},
		{"in one of others", ann, auth.See, "c", false, false, true},
		{"in the default one", ann, auth.See, "", false, false, true},
		{"chosen", in(ann, "a"), auth.See, "a", true, false, true},
		{"another is chosen", in(ann, "b"), auth.See, "a", false, false, true},
		{"one of others is chosen", in(ann, "c"), auth.See, "a", false, false, false},
		{"too little where it is chosen", in(ann, "b"), auth.Take, "a", false, false, false},
		{"not the controller", ann, auth.Manage, "a", false, false, false},
		{"no figures", ann, auth.Meter, "a", false, false, false},
		{"an administrator", root, auth.Manage, "x", true, true, true},
		{"who has chosen", in(root, "a"), auth.Manage, "a", true, true, true},
		{"another", in(root, "a"), auth.Take, "b", false, true, true},
		{"a viewer of all", seen, auth.See, "x", true, true, true},
		{"has figures", seen, auth.Meter, "x", false, true, true},
		{"and no more", seen, auth.Take, "x", false, false, false},
		{"a token for figures", figures, auth.Meter, "", false, true, true},
		{"and no more", figures, auth.See, "", false, false, false},
		{"a token to look", reader, auth.See, "a", true, false, true},
		{"and no more", reader, auth.Use, "a", false, false, false},
		{"nobody", auth.Principal{}, auth.See, "", false, false, false},
		{"nobody is not known", auth.Principal{}, auth.Known, "", false, false, false},
		{"whoever is known", auth.Principal{Name: "x"}, auth.Known, "", false, false, true},
	} {
		if may := test.who.May(test.what, test.project); may != test.may {
			t.Errorf("%s: May is %v", test.name, may)
		}
		if wide := test.who.Wide(test.what); wide != test.wide {
			t.Errorf("%s: Wide is %v", test.name, wide)
		}
		if some := test.who.Somewhere(test.what); some != test.some {
			t.Errorf("%s: Somewhere is %v", test.name, some)
		}
	}
	for _, test := range []struct {
		name    string
		who     auth.Principal
		see     []string
		every   bool
		home    string
		hasHome bool
	}{
		// he may take in one of them alone
		{"two projects", ann, []string{"a", "b"}, false, "a", true},
		{"one", one, []string{"a"}, false, "a", true},
		{"all", root, nil, true, "", true},
		{"all, and one chosen", in(root, "a"), []string{"a"}, false, "a", true},
		{"chosen", in(ann, "b"), []string{"b"}, false, "b", false},
		{"nobody", auth.Principal{}, []string{}, false, "", false},
	} {
		see, every := test.who.Projects(auth.See)
		if !slices.Equal(see, test.see) || every != test.every || (see == nil) != every {
			t.Errorf("%s: sees %q, %v", test.name, see, every)
		}
		if home, ok := test.who.Home(auth.Take); home != test.home || ok != test.hasHome {
			t.Errorf("%s: home is %q, %v", test.name, home, ok)
		}
	}
	if !root.Admin() || figures.Admin() || seen.Admin() || ann.Admin() {
		t.Error("who is an administrator")
	}
}
