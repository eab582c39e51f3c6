package auth_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// rig is a ring on a real store, with a clock and members of its own.
type rig struct {
	*auth.TokenRegistry
	store *sqlite.Store
	now   atomic.Pointer[time.Time]
	wide  map[string]auth.Role
	in    map[string]map[string]auth.Role
}

func newRig(t testing.TB) *rig {
	t.Helper()
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	r := &rig{store: st, wide: map[string]auth.Role{"root": auth.Administrator}, in: map[string]map[string]auth.Role{
		"ann": {"a": auth.Operator, "b": auth.Viewer}, "bob": {"a": auth.User},
	}}
	r.pass(0)
	r.TokenRegistry = r.another()
	return r
}

// another is a ring of another controller on the same store.
func (r *rig) another() *auth.TokenRegistry {
	return auth.NewTokenRegistry(
		r.store,
		auth.TokenRegistryOptions{
			Members: r.members, Reserved: func(name string) bool { return name == "root" },
			Now: func() time.Time { return *r.now.Load() },
		},
	)
}

func (r *rig) members(name string, groups []string) (auth.Role, map[string]auth.Role) {
	roles := r.in[name]
	for _, g := range groups {
		if g == "devs" {
			roles = map[string]auth.Role{"devs": auth.User}
		}
	}
	return r.wide[name], roles
}

// pass lets time pass.
func (r *rig) pass(d time.Duration) {
	now := time.Now()
	if old := r.now.Load(); old != nil {
		now = old.Add(d)
	}
	r.now.Store(&now)
}

func (r *rig) make(t testing.TB, tok auth.Token) (secret, id string) {
	t.Helper()
	secret, err := r.Make(context.Background(), &tok, 0)
	if err != nil {
		t.Fatal(err)
	}
	return secret, tok.ID
}

func (r *rig) good(t testing.TB, k *auth.TokenRegistry, secret string) bool {
	t.Helper()
	_, err := k.Who(context.Background(), secret, "192.0.2.1")
	if err != nil && !errors.Is(err, compute.ErrDenied) {
		t.Fatal(err)
	}
	if err != nil && len(secret) > 8 && strings.Contains(err.Error(), secret) {
		t.Error("the error tells the token")
	}
	return err == nil
}

// TestRing: who comes with a token is its owner as he is now, as far as the token goes.
func TestRing(t *testing.T) {
	r := newRig(t)
	for _, test := range []struct {
		name  string
		token auth.Token
		is    func(auth.Principal) bool
	}{
		{"all that he is", auth.Token{Owner: "ann"}, func(p auth.Principal) bool {
			return p.Name == "ann" && p.Role("a") == auth.Operator && p.Role("b") == auth.Viewer && !p.Wide(auth.See)
		}},
		{"an administrator", auth.Token{Owner: "root"}, func(p auth.Principal) bool { return p.Admin() && !p.Own && !p.Here }},
		{"less than that", auth.Token{Owner: "root", Role: auth.Viewer}, func(p auth.Principal) bool {
			return !p.Admin() && p.May(auth.See, "x") && !p.May(auth.Take, "x") && p.Wide(auth.Meter)
		}},
		{"one project", auth.Token{Owner: "root", Bound: true, Project: "a", Role: auth.User}, func(p auth.Principal) bool {
			return p.May(auth.Take, "a") && !p.May(auth.Others, "a") && !p.May(auth.See, "b") && !p.May(auth.See, "") &&
				!p.Wide(auth.Manage)
		}},
		{"more than he is", auth.Token{Owner: "bob", Role: auth.Administrator}, func(p auth.Principal) bool {
			return p.Role("a") == auth.User && !p.Wide(auth.Manage)
		}},
		{
			"another's project", auth.Token{Owner: "bob", Bound: true, Project: "b"},
			func(p auth.Principal) bool { return p.Permissions() == 0 },
		},
		{"some permissions", auth.Token{Owner: "ann", Only: auth.See | auth.Take}, func(p auth.Principal) bool {
			return p.May(auth.Take, "a") && !p.May(auth.Use, "a") && !p.May(auth.Take, "b")
		}},
		{"figures", auth.Token{Owner: "root", Only: auth.Meter}, func(p auth.Principal) bool { return p.Permissions() == auth.Meter }},
		{"one source", auth.Token{Owner: "bob", Source: "web"}, func(p auth.Principal) bool { return p.Source == "web" && !p.Admin() }},
		{
			"groups", auth.Token{Owner: "new", Groups: []string{"x", "devs"}},
			func(p auth.Principal) bool { return p.May(auth.Take, "devs") },
		},
		{"who is nobody", auth.Token{Owner: "eve"}, func(p auth.Principal) bool { return p.Permissions() == 0 && p.Somewhere(auth.Known) }},
	} {
		secret, id := r.make(t, test.token)
		for _, k := range []*auth.TokenRegistry{r.TokenRegistry, r.another()} {
			p, err := k.Who(t.Context(), secret, "192.0.2.1")
			if err != nil || !test.is(p) || p.Token != id || p.From != "192.0.2.1" || !strings.Contains(p.Via, id) ||
				strings.Contains(p.Via, secret[4:]) {
				t.Errorf(
					"%s: p = %+v, err = %v"+
						`; want no error and test.is(p) and p.Token == id and p.From == "192.0.2.1" and p.Via with `+
						"id and p.Via without secret[4:]",
					test.name, p, err,
				)
			}
		}
	}
	secret, id := r.make(t, auth.Token{Owner: "bob"})
	for _, bad := range []string{"", "x", secret + "x", secret[:len(secret)-1], strings.ToUpper(secret), id} {
		if r.good(t, r.TokenRegistry, bad) {
			t.Errorf("%q is good", bad)
		}
	}
	r.in["bob"] = nil // he is put out of his project
	r.pass(3 * time.Second)
	if p, err := r.Who(t.Context(), secret, ""); err != nil || p.Permissions() != 0 {
		t.Errorf("p = %+v, err = %v; want no error and p.Permissions() == 0", p, err)
	}
}

// TestRevoke: a token that is revoked is good for nothing from that moment on, on another
// controller soon; so are those that were made with it.
func TestRevoke(t *testing.T) {
	r := newRig(t)
	there := r.another()
	secret, id := r.make(t, auth.Token{Owner: "ann"})
	child, childID := r.make(t, auth.Token{Owner: "ann", Parent: id})
	grandchild, _ := r.make(t, auth.Token{Owner: "ann", Parent: childID})
	other, _ := r.make(t, auth.Token{Owner: "ann"})
	every := []string{secret, child, grandchild, other}
	for _, s := range every {
		if !r.good(t, r.TokenRegistry, s) || !r.good(t, there, s) {
			t.Fatal("a new token is not good")
		}
	}
	no := errors.New("no")
	_, err := r.Revoke(t.Context(), id, func(*auth.Token) error { return no })
	if !errors.Is(err, no) || !r.good(t, r.TokenRegistry, secret) {
		t.Errorf("revoked by whom may not: %v", err)
	}
	gone, err := r.Revoke(t.Context(), id, nil)
	if err != nil || len(gone) != 3 {
		t.Fatalf("gone = %v, err = %v; want no error and len(gone) == 3", gone, err)
	}
	for _, s := range every {
		if r.good(t, r.TokenRegistry, s) != (s == other) {
			t.Error("here")
		}
	}
	r.pass(3 * time.Second)
	for _, s := range every {
		if r.good(t, there, s) != (s == other) {
			t.Error("on the other controller")
		}
	}
	if _, err := r.Revoke(t.Context(), id, nil); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("revoked again: %v", err)
	}
}

// TestExpiry: tokens end, at the latest when they may, and never after what they were made with;
// then they are forgotten.
func TestExpiry(t *testing.T) {
	r := newRig(t)
	tok := auth.Token{Owner: "ann"}
	secret, err := r.Make(t.Context(), &tok, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	child := auth.Token{Owner: "ann", Parent: tok.ID}
	if _, err := r.Make(t.Context(), &child, 2*time.Hour); err != nil || !child.Expires.Equal(tok.Expires) {
		t.Errorf("made with one that ends at %v: %v, %v", tok.Expires, child.Expires, err)
	}
	session := auth.Token{Owner: "ann", Kind: auth.Session}
	if _, err := r.Make(t.Context(), &session, time.Minute); err != nil {
		t.Fatal(err)
	}
	long := auth.Token{Owner: "ann", Parent: session.ID}
	if _, err := r.Make(t.Context(), &long, 2*time.Hour); err != nil || long.Parent != "" || !long.Expires.After(tok.Expires) {
		t.Errorf("made by who has signed in: %+v, %v", long, err)
	}
	if _, err := r.Revoke(t.Context(), long.ID, nil); err != nil {
		t.Fatal(err)
	}
	usual := auth.Token{Owner: "ann"}
	if _, err := r.Make(t.Context(), &usual, 0); err != nil || usual.Expires.Sub(usual.Created) != 90*24*time.Hour {
		t.Errorf("%v to %v, %v", usual.Created, usual.Expires, err)
	}
	for _, life := range []time.Duration{-1, 366 * 24 * time.Hour} {
		if _, err := r.Make(t.Context(), &auth.Token{Owner: "ann"}, life); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("for %v: %v", life, err)
		}
	}
	if _, err := r.Make(t.Context(), &auth.Token{Owner: "ann", Parent: "none"}, 0); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("made with one that is gone: %v", err)
	}
	if !r.good(t, r.TokenRegistry, secret) {
		t.Error("not good")
	}
	r.pass(time.Hour)
	if r.good(t, r.TokenRegistry, secret) {
		t.Error("good after its end")
	}
	all, err := r.List(t.Context())
	if err != nil || len(all) != 1 || all[0].ID != usual.ID {
		t.Errorf("all = %v, err = %v; want no error and len(all) == 1 and all[0].ID == usual.ID", all, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.Run(ctx) // sweeps, though not where ctx has ended
}

// TestLeaseToken: a lease's own token ends with the lease.
func TestLeaseToken(t *testing.T) {
	r := newRig(t)
	l := &compute.Lease{ID: "l-1", Instance: "web-1", Source: "web", Owner: "bob"}
	save := func(f func(store.Tx) error) {
		t.Helper()
		if err := r.store.Update(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	save(func(tx store.Tx) error { return tx.InsertLease(l) })
	secret, _ := r.make(
		t,
		auth.Token{Kind: auth.TokenLease, Owner: "bob", Bound: true, Project: "a", Lease: "l-1", Only: auth.LeasePermissions(false)},
	)
	r.pass(1000 * 24 * time.Hour)
	p, err := r.Who(t.Context(), secret, "")
	if err != nil || p.Lease != "l-1" || !p.May(auth.Use, "a") || p.May(auth.Extend, "a") || p.May(auth.Take, "a") ||
		p.May(auth.Tokens, "a") || p.May(auth.Use, "b") {
		t.Errorf("p = %+v, err = %v", p, err)
	}
	save(func(tx store.Tx) error {
		l.Ended = time.Now()
		return tx.SaveLease(l)
	})
	r.pass(3 * time.Second)
	if r.good(t, r.TokenRegistry, secret) || r.good(t, r.another(), secret) {
		t.Error("good after its lease has ended")
	}
}

// TestUsed: when a token was used is recorded about, and not at each use.
func TestUsed(t *testing.T) {
	r := newRig(t)
	secret, _ := r.make(t, auth.Token{Owner: "ann"})
	first := *r.now.Load()
	look := func(k *auth.TokenRegistry, want time.Time) {
		t.Helper()
		all, err := k.List(t.Context())
		if err != nil || len(all) != 1 || !all[0].Used.Equal(want) {
			t.Fatalf("%v, %v: not used at %v", all[0].Used, err, want)
		}
	}
	look(r.TokenRegistry, time.Time{})
	r.good(t, r.TokenRegistry, secret)
	look(r.TokenRegistry, first)
	r.pass(time.Minute)
	r.good(t, r.TokenRegistry, secret)
	look(r.TokenRegistry, first)
	r.pass(10 * time.Minute)
	r.good(t, r.TokenRegistry, secret)
	look(r.TokenRegistry, *r.now.Load())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.Run(ctx) // records what is left
	look(r.another(), *r.now.Load())
}

// TestGivesNoMore: nobody makes a token that may more than he.
func TestGivesNoMore(t *testing.T) {
	r := newRig(t)
	who := func(tok auth.Token) auth.Principal {
		secret, _ := r.make(t, tok)
		p, err := r.Who(t.Context(), secret, "")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	everywhere, in := r.members("ann", nil)
	ann := auth.Principal{Name: "ann", Everywhere: everywhere, Roles: in}
	root := auth.Principal{Name: "root", Everywhere: auth.Administrator}
	weak := who(auth.Token{Owner: "ann", Role: auth.User})
	seer := who(auth.Token{Owner: "ann", Only: auth.See | auth.Tokens})
	web := who(auth.Token{Owner: "ann", Source: "web"})
	inA := who(auth.Token{Owner: "ann", Bound: true, Project: "a"})
	half := who(auth.Token{Owner: "root", Role: auth.Operator})
	for _, test := range []struct {
		name  string
		maker auth.Principal
		token auth.Token
		want  error
	}{
		{"as much as he is", ann, auth.Token{Owner: "ann"}, nil},
		{"less", ann, auth.Token{Owner: "ann", Bound: true, Project: "b", Only: auth.See}, nil},
		{"another's", ann, auth.Token{Owner: "bob"}, compute.ErrDenied},
		{"nothing", ann, auth.Token{Owner: "ann", Bound: true, Project: "c"}, compute.ErrInvalid},
		{"nothing that he may there", ann, auth.Token{Owner: "ann", Bound: true, Project: "b", Only: auth.Take}, compute.ErrInvalid},
		{"an administrator for another", root, auth.Token{Owner: "bob"}, nil},
		{
			"an administrator for root", auth.Principal{Name: "adam", Everywhere: auth.Administrator},
			auth.Token{Owner: "root"}, compute.ErrDenied,
		},
		{
			"the controller's own user for root", auth.Principal{Name: "svc", Own: true, Everywhere: auth.Administrator},
			auth.Token{Owner: "root"}, nil,
		},
		{"a weak token's more", weak, auth.Token{Owner: "ann"}, compute.ErrDenied},
		{"a weak token's same", weak, auth.Token{Owner: "ann", Role: auth.User}, nil},
		{"beyond permissions", seer, auth.Token{Owner: "ann", Only: auth.See | auth.Use}, compute.ErrDenied},
		{"all permissions", seer, auth.Token{Owner: "ann"}, compute.ErrDenied},
		{"some permissions", seer, auth.Token{Owner: "ann", Only: auth.See}, nil},
		{"beyond the source", web, auth.Token{Owner: "ann"}, compute.ErrDenied},
		{"another source", web, auth.Token{Owner: "ann", Source: "db"}, compute.ErrDenied},
		{"the source", web, auth.Token{Owner: "ann", Source: "web"}, nil},
		{"beyond the project", inA, auth.Token{Owner: "ann"}, compute.ErrDenied},
		{"another project", inA, auth.Token{Owner: "ann", Bound: true, Project: "b"}, compute.ErrDenied},
		{"the project", inA, auth.Token{Owner: "ann", Bound: true, Project: "a"}, nil},
		{"an administrator's weak token's more", half, auth.Token{Owner: "root"}, compute.ErrDenied},
		{"an administrator's weak token for another", half, auth.Token{Owner: "bob"}, compute.ErrDenied},
		{"an administrator's weak token's same", half, auth.Token{Owner: "root", Role: auth.Operator}, nil},
	} {
		if err := r.Check(test.maker, &test.token); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, not %v", test.name, err, test.want)
		}
	}
}

// BenchmarkWho is the check of a token that was good a moment ago, beside the hash alone.
func BenchmarkWho(b *testing.B) {
	r := newRig(b)
	secret, _ := r.make(b, auth.Token{Owner: "ann"})
	b.Run("who", func(b *testing.B) {
		for b.Loop() {
			if _, err := r.Who(context.Background(), secret, "192.0.2.1"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("hash", func(b *testing.B) {
		for b.Loop() {
			sha256.Sum256([]byte(secret))
		}
	})
}

// TestWithin: what is made with a token goes no further than that, whatever its owner becomes
// later.
func TestWithin(t *testing.T) {
	r := newRig(t)
	narrow := auth.Token{Owner: "bob", Bound: true, Project: "a", Role: auth.Viewer, Source: "web", Only: auth.See | auth.Tokens}
	if _, err := r.Make(t.Context(), &narrow, time.Hour); err != nil {
		t.Fatal(err)
	}
	child := auth.Token{Owner: "bob", Parent: narrow.ID}
	secret, err := r.Make(t.Context(), &child, 0)
	if err != nil {
		t.Fatal(err)
	}
	lease := auth.Token{
		Kind: auth.TokenLease, Owner: "bob", Parent: narrow.ID, Bound: true, Project: "a", Role: auth.User,
		Only: auth.LeasePermissions(false), Lease: "l",
	}
	if _, err := r.Make(t.Context(), &lease, 0); err != nil {
		t.Fatal(err)
	}
	if !lease.Expires.Equal(narrow.Expires) || lease.Only != auth.See || lease.Role != auth.Viewer {
		t.Errorf("a lease's token: %+v", lease)
	}
	r.wide["bob"], r.in["bob"] = auth.Administrator, map[string]auth.Role{"a": auth.Operator, "b": auth.Operator}
	p, err := r.Who(t.Context(), secret, "")
	if err != nil || p.Everywhere != auth.Nobody || p.Role("a") != auth.Viewer || p.Role("b") != auth.Nobody ||
		p.Source != "web" || p.Only != auth.See|auth.Tokens || !child.Expires.Equal(narrow.Expires) {
		t.Errorf("when he is an administrator: %+v, %v", p, err)
	}
	for what, other := range map[string]auth.Token{
		"another project":   {Owner: "bob", Parent: narrow.ID, Bound: true, Project: "b"},
		"another source":    {Owner: "bob", Parent: narrow.ID, Source: "db"},
		"other permissions": {Owner: "bob", Parent: narrow.ID, Only: auth.Take},
	} {
		if _, err := r.Make(t.Context(), &other, 0); !errors.Is(err, compute.ErrDenied) {
			t.Errorf("%s: err = %v; want error compute.ErrDenied", what, err)
		}
	}
	if _, err := r.Revoke(t.Context(), narrow.ID, nil); err != nil || r.good(t, r.TokenRegistry, secret) {
		t.Errorf("when it is revoked: %v", err)
	}
}
