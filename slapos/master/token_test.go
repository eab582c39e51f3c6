package master_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/enrol"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/web"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
	slapclient "github.com/hostler-project/hostler/slapos/proto/client"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store/sqlite"
)

// stored is a master with an authority and a store.
func stored(t *testing.T) master.Options {
	t.Helper()
	opt := certifying(t)
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	opt.Store = st
	return opt
}

// A token gives the certificate that it is for, once, however many show it at a time.
func TestTokens(t *testing.T) {
	opt := stored(t)
	m, err := master.New(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, admin := t.Context(), access.Anybody
	token, _, err := m.Certificates.NewToken(ctx, admin, record.Token{Of: record.CertifiedUser, User: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Certificates.RegisterBy(ctx, token, "build1"); !errors.Is(err, compute.ErrDenied) {
		t.Errorf("a user's token for a computer: %v", err)
	}
	var all sync.WaitGroup
	var got [8]*proto.Certificate
	var errs [8]error
	for i := range got {
		all.Go(func() { got[i], errs[i] = m.Certificates.PersonCertificate(ctx, token) })
	}
	all.Wait()
	given := 0
	for i, err := range errs {
		if err == nil {
			given++
			if who, err := m.Certificates.Certified(ctx, serialOf(t, got[i], nil)); err != nil || who.User != "ann" || who.All {
				t.Errorf(`who = %+v, err = %v; want no error and who.User == "ann" and !who.All`, who, err)
			}
		} else if !errors.Is(err, compute.ErrDenied) {
			t.Error(err)
		}
	}
	if given != 1 {
		t.Errorf("the token was good for %d", given)
	}

	// A user's token for a computer makes one of that user. It gives no certificate of one that
	// exists, unless it names that.
	ann := access.Who{User: "ann", Name: "ann"}
	var names []string
	for _, again := range []bool{false, true} {
		token, _, err := m.Certificates.NewToken(ctx, ann, record.Token{Of: record.CertifiedComputer})
		if err != nil {
			t.Fatal(err)
		}
		if again {
			if guid, pair, err := m.Certificates.RegisterBy(ctx, token, "build1"); !errors.Is(err, compute.ErrConflict) ||
				pair != nil || !strings.Contains(err.Error(), "build1 already") {
				t.Errorf("a second one of the title: %s, %v, %v", guid, pair, err)
			}
			if token, _, err = m.Certificates.NewToken(
				ctx, admin, record.Token{Of: record.CertifiedComputer, User: "ann", Computer: names[0]},
			); err != nil {
				t.Fatal(err)
			}
		}
		guid, pair, err := m.Certificates.RegisterBy(ctx, token, "build1")
		if err != nil {
			t.Fatal(err)
		}
		if who, err := m.Certificates.Certified(ctx, serialOf(t, pair, nil)); err != nil || who.Computer != guid {
			t.Errorf("who = %+v, err = %v; want no error and who.Computer == guid", who, err)
		}
		if id, err := enrol.Reference(pair.Certificate); err != nil || id != guid {
			t.Errorf("in the certificate stands %q, %v; it is %q", id, err, guid)
		}
		names = append(names, guid)
		if _, _, err := m.Certificates.RegisterBy(ctx, token, "build2"); !errors.Is(err, compute.ErrDenied) {
			t.Errorf("again: %v", err)
		}
	}
	if names[0] != names[1] {
		t.Error(names)
	}
	// She herself has it by its title.
	if guid, _, err := m.Certificates.Register(ctx, ann, "build1"); err != nil || guid != names[0] {
		t.Errorf("guid = %s, err = %v; want no error and guid == names[0]", guid, err)
	}
	all2, err := m.Computers.All(ctx, ann)
	if err != nil || len(all2) != 1 || all2[0].Title != "build1" {
		t.Errorf(`all2 = %+v, err = %v; want no error and len(all2) == 1 and all2[0].Title == "build1"`, all2, err)
	}
	for what, err := range map[string]error{
		"a user for a user": third(m.Certificates.NewToken(ctx, ann, record.Token{Of: record.CertifiedUser, User: "ann"})),
		"a user for any computer": third(
			m.Certificates.NewToken(ctx, ann, record.Token{Of: record.CertifiedComputer, Computer: "COMP-1"}),
		),
		"a node": third(
			m.Certificates.NewToken(ctx, access.Who{Computer: "COMP-1"}, record.Token{Of: record.CertifiedComputer}),
		),
		"a node registers":           third(m.Certificates.Register(ctx, access.Who{Computer: "COMP-1"}, "x")),
		"an instance as a user":      errOf(m.Certificates.OwnCertificate(ctx, access.Who{Instance: "INST-1"})),
		"who has no name, as a user": errOf(m.Certificates.OwnCertificate(ctx, admin)),
		"a guess":                    errOf(m.Certificates.PersonCertificate(ctx, "slt_guess")),
	} {
		if !errors.Is(err, compute.ErrDenied) {
			t.Errorf("%s: err = %v; want error compute.ErrDenied", what, err)
		}
	}
	// A revoked user gets nothing by a token that is still held.
	token, _, err = m.Certificates.NewToken(ctx, admin, record.Token{Of: record.CertifiedUser, User: "ann"})
	if err := errors.Join(err, m.Certificates.RevokeUser(ctx, admin, "ann")); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Certificates.PersonCertificate(ctx, token); !errors.Is(err, compute.ErrDenied) {
		t.Errorf("after she was revoked: %v", err)
	}
	for _, name := range []string{"", "a b", "é"} {
		_, _, err := m.Certificates.NewToken(ctx, admin, record.Token{Of: record.CertifiedUser, User: name})
		if !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("%q: err = %v; want error compute.ErrInvalid", name, err)
		}
	}
}

func third[A, B any](_ A, _ B, err error) error { return err }

// The paths of the web side, as clients ask for them.
func TestEnrol(t *testing.T) {
	opt := stored(t)
	m, err := master.New(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(web.New(m, wire.Options{
		Who: func(*http.Request) (access.Who, error) { return access.Anybody, nil },
		Token: func(_ *http.Request, token string) (access.Who, error) {
			if token != "hst_bob" {
				return access.Who{}, &access.Refusal{Kind: compute.ErrDenied, Text: "nobody"}
			}
			return access.Who{User: "bob", Name: "bob", Project: "web", Groups: "a\nb"}, nil
		},
	}))
	defer srv.Close()
	ctx := t.Context()
	client, err := slapclient.New(slapclient.Options{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	token, err := client.Hypermedia().ComputerToken(ctx)
	if err != nil {
		t.Fatal(err)
	}
	enrolment := &enrol.Web{URL: srv.URL, Token: token}
	_, guid, err := enrolment.Computer(ctx, "build1")
	if err != nil || !strings.HasPrefix(guid, "COMP-") {
		t.Fatalf(`guid = %v, err = %v; want no error and strings.HasPrefix(guid, "COMP-")`, guid, err)
	}
	if _, _, err := enrolment.Computer(ctx, "build1"); !errors.Is(err, enrol.ErrDenied) {
		t.Errorf("again: %v", err)
	}
	if token, err = client.Hypermedia().ComputerToken(ctx); err != nil {
		t.Fatal(err)
	}
	if _, _, err := (&enrol.Web{URL: srv.URL, Token: token}).Computer(ctx, "build1"); err == nil ||
		!strings.Contains(err.Error(), "There is a computer with the title build1 already") {
		t.Errorf("with another token: %v", err)
	}
	// One whom only the surroundings know, by POST and by GET.
	for _, enrolment := range []*enrol.Web{{URL: srv.URL, Token: "hst_bob"}, {URL: srv.URL, Login: "bob", Password: "hst_bob"}} {
		pair, err := enrolment.Person(ctx)
		if err != nil {
			t.Fatal(err)
		}
		who, err := m.Certificates.Certified(ctx, serialOf(t, pair, nil))
		if who.Via = ""; err != nil || who != (access.Who{User: "bob", Name: "bob", Project: "web", Groups: "a\nb"}) {
			t.Errorf(
				"who = %+v, err = %v"+
					`; want no error and who == (access.Who{User: "bob", Name: "bob", Project: "web", Groups: `+
					"\"a\\nb\"})",
				who, err,
			)
		}
		// the second time bob has it already
		if _, _, err := enrolment.Computer(ctx, "bob's"); err != nil {
			t.Error(err)
		}
	}
	all, err := m.Computers.All(ctx, access.Who{User: "bob"})
	if err != nil || len(all) != 1 || all[0].Project != "web" {
		t.Errorf(`all = %+v, err = %v; want no error and len(all) == 1 and all[0].Project == "web"`, all, err)
	}
	for _, c := range []struct {
		method, path, token, site string
		want                      int
	}{
		{http.MethodPost, "Person_getCertificate", "", "", http.StatusForbidden},
		{http.MethodPost, "Person_getCertificate", "hst_ann", "", http.StatusForbidden},
		// without a title
		{http.MethodPost, "Person_requestComputer", "hst_bob", "", http.StatusBadRequest},
		{http.MethodPost, "Person_getCertificate", "hst_bob", "cross-site", http.StatusForbidden},
		{http.MethodPut, "Person_getCertificate", "hst_bob", "", http.StatusMethodNotAllowed},
		// GET takes no such header
		{http.MethodGet, "Person_getCertificate", "hst_bob", "", http.StatusForbidden},
		{http.MethodGet, "hateoas/computer_module/Base_getComputerToken", "", "cross-site", http.StatusForbidden},
	} {
		r, err := http.NewRequestWithContext(ctx, c.method, srv.URL+"/"+c.path, strings.NewReader(url.Values{}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Access-Token", c.token)
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != c.want {
			t.Errorf("%s %s of %q: %d", c.method, c.path, c.token, answer.StatusCode)
		}
	}

	// A master without an authority has none of this.
	plain, err := master.New(ctx, master.Options{Store: opt.Store})
	if err != nil {
		t.Fatal(err)
	}
	none := httptest.NewServer(web.New(plain, wire.Options{}))
	defer none.Close()
	if _, err := (&enrol.Web{URL: none.URL, Token: token}).Person(ctx); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf(`err = %v; want an error and err.Error() with "404"`, err)
	}
}
