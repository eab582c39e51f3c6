package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/server"
)

// walked are who walks through the API. All acts are on what ann has in project a.
var walked = []string{"(none)", "nobody", "vic", "eve", "bea", "ann", "(lease)", "opa", "root"}

// walks says for each operation what becomes of it, for each of these: + it is done, - it is
// denied, 0 there is no such thing for him, ? nobody knows him. A second line is for "any": whoever
// has the lease.
var walks = map[string]struct{ body, want, any string }{
	//                                                                                       nobody known, in no project, viewer, other project, co-member, owner, lease token, operator, admin
	"acquire":            {`{"source": "web", "project": "a", "count": 1}`, "?---++-++", ""},
	"give-up":            {"", "?--!!!-!!", ""}, // of one's own; there are no keys here
	"list-leases":        {"", "?-+++++++", ""},
	"get-lease":          {"", "?-+0+++++", ""},
	"release":            {"", "?--0-++--", "?--0--" + "-++"},
	"release-many":       {`{"names": ["NAME"]}`, "?--0-++--", "?--0---++"},
	"extend":             {`{}`, "?--0-+---", "?--0---++"},
	"use":                {"", "?--0-++--", "?--0---++"},
	"connect":            {"", "?--0-++--", "?--0---++"},
	"terminal":           {"", "?--0-++--", "?--0---++"},
	"hold":               {`{"names": ["NAME"], "reason": "look"}`, "?--0-+---", "?--0---++"},
	"create-lease-token": {"", "?--0-+---", ""},
	"list-instances":     {"", "?-+++++++", ""},
	"get-instance":       {"", "?-+0+++++", ""},
	"get-leaf":           {"", "?-+0+++++", ""},
	"list-sources":       {"", "?-+++++++", ""},
	"get-source":         {"", "?-+0++0++", ""}, // of alpha, which is for a alone
	"plan":               {"", "?-+++++++", ""},
	"history":            {"", "?-+++++++", ""},
	"fill":               {"", "?-------+", ""},
	"test-source":        {"", "?-------+", ""},
	"list-events":        {"", "?-+++++++", ""},
	"watch-events":       {"", "?-+++++++", ""},
	"self":               {"", "?++++++++", ""},
	"work":               {"", "?-------+", ""},
	"reload":             {"", "?-------+", ""},
	"metrics":            {"", "?-------+", ""},
	"create-token":       {`{"name": "x"}`, "?--++" + "+-++", ""},
	"list-tokens":        {"", "?--+++-++", ""},
	"revoke-token":       {"", "?--00+-0+", ""}, // of ann, in all her projects
	"list-audit":         {"", "?--+---++", ""},
	"list-queue":         {"", "?-+++++++", ""},
	"cancel":             {"", "?--0-+-++", ""}, // ann's request
	"how-to-sign-in":     {"", "+++++++++", ""},
	// nobody signs in to this controller
	"sign-in":        {`{"id_token": "x"}`, "!!!!!!!!!", ""},
	"login-page":     {"", "+++++++++", ""},
	"login-callback": {"", "!!!!!!!!!", ""},
	"open-session":   {"", "?+++++-++", ""},
	"sign-out":       {"", "?++++++++", ""},
	// there is no master here; slap/view has the table with one
	"list-slap-computers":   {"", "?-0000000", ""},
	"get-slap-computer":     {"", "?-0000000", ""},
	"get-slap-usage":        {"", "?-0000000", ""},
	"list-slap-instances":   {"", "?-0000000", ""},
	"get-slap-instance":     {"", "?-0000000", ""},
	"get-slap-connection":   {"", "?--000000", ""},
	"get-slap-software":     {"", "?-0000000", ""},
	"request-slap-instance": {`{"title": "t", "release": "r"}`, "?--000000", ""},
	"change-slap-instance":  {`{}`, "?--000000", ""},
	"supply-slap-release":   {`{"release": "r"}`, "?--000000", ""},
	"watch-slap":            {"", "?-0000000", ""},
	"list-webhooks":         {"", "?-------+", ""},
	"test-webhook":          {"", "?-------+", ""},
	"skip-webhook":          {"", "?-------+", ""},
	"list-applied":          {"", "?-------+", ""},
	"apply": {
		`{"things": [{"kind": "source", "name": "w", "files": [{"path": "source.conf", "text": "type = fake\n"}]}]}`,
		"?-------+", "",
	},
	"get-applied":    {"", "?-------0", ""}, // nothing was applied here
	"put-applied":    {`{"files": [{"path": "source.conf", "text": "type = fake\n"}]}`, "?-------+", ""},
	"delete-applied": {"", "?-------+", ""},
}

// TestWalk walks through the API's description, as everybody: each does what he may, and nothing
// else.
func TestWalk(t *testing.T) {
	w := newTown(t, nil)
	for _, op := range operations(t, w.url) {
		walk, ok := walks[op.ID]
		if !ok {
			t.Errorf("%s %s: the operation %s is not in the table of who may what", op.method, op.path, op.ID)
			continue
		}
		t.Run(op.ID, func(t *testing.T) {
			for i, name := range walked {
				w.t = t
				w.walk(op, walk.body, name, walk.want[i], false)
				if walk.any != "" {
					w.walk(op, walk.body, name, walk.any[i], true)
				}
			}
		})
	}
}

func (w *town) walk(op operation, body, name string, want byte, anyones bool) {
	w.t.Helper()
	l := w.take("ann", "a", "web")
	defer func() {
		// it may be gone
		_ = w.engine.Release(context.Background(), compute.Who{Admin: true}, compute.ReleaseOptions{Discard: true, Force: true}, l.Instance)
	}()
	token := w.tokens[name]
	if name == "(lease)" {
		token = w.token(auth.Token{
			Kind: auth.TokenLease, Owner: "ann", Bound: true, Project: "a", Role: auth.User, Lease: l.ID,
			Only: auth.LeasePermissions(false),
		})
	}
	of := auth.Token{Owner: "ann"}
	w.token(of)
	all, err := w.ring.List(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	id := all[len(all)-1].ID
	path := strings.NewReplacer(
		"{name}", string(l.Instance), "{lease}", l.ID, "{source}", "alpha", "{id}", id, "{webhook}", "x", "{key}", "x",
		"{kind}", "source",
	).Replace(op.path)
	if op.ID == "cancel" {
		number, end := w.wait()
		defer end()
		path = "/v1/queue/" + number
	}
	query := ""
	if anyones {
		query = "?any=true"
	}
	status, text := w.ask(strings.ToUpper(op.method), path+query, strings.ReplaceAll(body, "NAME", string(l.Instance)), token)
	got := byte('+')
	switch {
	case status == http.StatusUnauthorized:
		got = '?'
	case status == http.StatusForbidden:
		got = '-'
	case status == http.StatusNotFound:
		got = '0'
	case status/100 != 2 && status/100 != 3 && status != http.StatusSwitchingProtocols && status != http.StatusServiceUnavailable:
		// there is no planner here
		got = '!'
	}
	if got != want {
		w.t.Errorf("%s as %s, any %v: %c, not %c: %d %s", op.ID, name, anyones, got, want, status, text)
	}
	i, now, err := w.engine.Resolve(context.Background(), string(l.Instance))
	untouched := err == nil && i.State == compute.Leased && now != nil && now.ID == l.ID && now.Expires.Equal(l.Expires)
	if got != '+' && !untouched {
		w.t.Errorf("%s as %s, any %v: refused, and done: %+v, %v", op.ID, name, anyones, i, err)
	}
}

// TestAcross: of what another project has nobody learns anything, by lists, names, streams or
// answers' words.
func TestAcross(t *testing.T) {
	w := newTown(t, nil)
	mine, theirs, secret := w.take("eve", "b", "web"), w.take("ann", "a", "web"), w.take("ann", "a", "alpha")
	hidden := []string{string(theirs.Instance), theirs.ID, string(secret.Instance), secret.ID, "ann", `"a"`, "alpha"}
	for _, path := range []string{
		"/v1/leases", "/v1/instances", "/v1/instances?state=leased", "/v1/sources", "/v1/events?limit=1000",
		"/v1/events?after=1&limit=1000", "/v1/tokens", "/v1/leases?owner=ann", "/v1/self",
		"/v1/instances?owner=ann", "/v1/audit", "/v1/events?lease=" + theirs.ID,
	} {
		status, text := w.ask(http.MethodGet, path, "", w.tokens["eve"])
		if status != http.StatusOK {
			t.Errorf("%s: status = %d text = %s; want status == http.StatusOK", path, status, text)
		}
		for _, word := range hidden {
			if strings.Contains(text, word) {
				t.Errorf("%s tells eve of %s: %s", path, word, text)
			}
		}
	}
	if _, text := w.ask(http.MethodGet, "/v1/leases", "", w.tokens["eve"]); !strings.Contains(text, mine.ID) {
		t.Errorf("eve does not see her own: %s", text)
	}
	// A name that is another project's is refused as one that there is not; where only
	// administrators may do anything, all names are.
	for _, op := range operations(t, w.url) {
		if !strings.Contains(op.path, "{name}") && !strings.Contains(op.path, "{lease}") && op.ID != "hold" && op.ID != "release-many" {
			continue
		}
		refused := "404 "
		if strings.HasPrefix(walks[op.ID].want, "?-------") {
			refused = "403 "
		}
		for _, anyones := range []string{"", "?any=true", "?token=" + theirs.ID} {
			answer := func(name string) string {
				body := strings.ReplaceAll(walks[op.ID].body, "NAME", name)
				status, text := w.ask(
					strings.ToUpper(op.method),
					strings.NewReplacer("{name}", name, "{lease}", name, "{kind}", "source").Replace(op.path)+anyones,
					body, w.tokens["eve"],
				)
				return fmt.Sprint(status, " ", strings.ReplaceAll(text, name, "NAME"))
			}
			for _, name := range []string{string(theirs.Instance), theirs.ID, string(secret.Instance)} {
				got := answer(name)
				if anyones != "" && strings.Contains(got, "unknown query parameter") {
					continue // nothing was looked at
				}
				if !strings.HasPrefix(got, refused) || strings.Contains(got, "ann") ||
					strings.Contains(got, string(theirs.Instance)) && name != string(theirs.Instance) {
					t.Errorf("%s%s of %s: %s", op.ID, anyones, name, got)
				}
			}
		}
	}
	for _, test := range []struct {
		who, body string
		status    int
	}{
		{"eve", `{"source": "alpha"}`, 404}, {"eve", `{"source": "web", "project": "a"}`, 403},
		{"eve", `{"source": "web", "project": "nothing"}`, 403}, {"eve", `{"source": "web", "owner": "ann"}`, 201},
		{"ann", `{"source": "web", "owner": "bea"}`, 403}, {"ann", `{"source": "alpha"}`, 201},
		{"two", `{"source": "web"}`, 201}, {"two", `{"source": "web", "project": "b"}`, 403},
		{"opa", `{"source": "web", "owner": "ann"}`, 201}, {"vic", `{"source": "web"}`, 403},
		{"root", `{"source": "alpha"}`, 201}, {"root", `{"source": "web", "project": "nothing"}`, 403},
	} {
		if status, text := w.ask(http.MethodPost, "/v1/leases", test.body, w.tokens[test.who]); status != test.status {
			t.Errorf("%s asks for %s: %d %s", test.who, test.body, status, text)
		}
	}
	// Who is in two projects may choose one, and then sees that one alone.
	for _, test := range []struct {
		who, project string
		sees         bool
		status       int
	}{
		{"two", "a", true, 200}, {"two", "b", false, 200}, {"two", "c", false, 403}, {"root", "a", true, 200},
		{"root", "b", false, 200}, {"eve", "a", false, 403},
	} {
		status, text := w.ask(http.MethodGet, "/v1/leases", "", w.tokens[test.who], api.ProjectHeader, test.project)
		if status != test.status || strings.Contains(text, theirs.ID) != test.sees {
			t.Errorf("%s in %s: %d %s", test.who, test.project, status, text)
		}
	}
	if status, text := w.ask(
		http.MethodDelete, "/v1/leases/"+theirs.ID+"?any=true", "", w.tokens["root"], api.ProjectHeader, "b",
	); status != http.StatusNotFound {
		t.Errorf("as an administrator in another project: %d %s", status, text)
	}
}

// TestTokensOfProjects: a token for one project sees and revokes those of that project alone.
func TestTokensOfProjects(t *testing.T) {
	w := newTown(t, nil)
	made := func(of auth.Token) (id, token string) {
		token = w.token(of)
		_, text := w.ask(http.MethodGet, "/v1/self", "", token)
		var self struct{ Via string }
		if err := json.Unmarshal([]byte(text), &self); err != nil {
			t.Fatalf("self: %v in %s", err, text)
		}
		return strings.TrimPrefix(self.Via, "token "), token
	}
	_, ci := made(auth.Token{Owner: "ann", Bound: true, Project: "a"})
	same, _ := made(auth.Token{Owner: "ann", Bound: true, Project: "a"})
	for name, of := range map[string]auth.Token{
		"of all": {Owner: "ann"}, "of no project": {Owner: "ann", Bound: true},
	} {
		id, token := made(of)
		if _, text := w.ask(http.MethodGet, "/v1/tokens", "", ci); strings.Contains(text, id) || !strings.Contains(text, same) {
			t.Errorf("%s: got %s, want the tokens of project a alone, such as %s", name, text, same)
		}
		if status, _ := w.ask(http.MethodDelete, "/v1/tokens/"+id, "", ci); status != http.StatusNotFound {
			t.Errorf("%s: got status %d of its end, want %d", name, status, http.StatusNotFound)
		}
		if status, _ := w.ask(http.MethodGet, "/v1/self", "", token); status != http.StatusOK {
			t.Errorf("%s: got status %d, want it to be good still", name, status)
		}
	}
	if status, text := w.ask(http.MethodDelete, "/v1/tokens/"+same, "", ci); status != http.StatusNoContent {
		t.Errorf("one of the same project: got status %d %s, want %d", status, text, http.StatusNoContent)
	}
}

// TestTokensOfSources: a token for one source sees and takes that one alone.
func TestTokensOfSources(t *testing.T) {
	w := newTown(t, nil)
	web, alpha := w.take("ann", "a", "web"), w.take("ann", "a", "alpha")
	token := w.token(auth.Token{Owner: "ann", Source: "web"})
	for path, status := range map[string]int{
		"/v1/leases/" + web.ID: 200, "/v1/leases/" + alpha.ID: 404, "/v1/sources/alpha": 404, "/v1/sources/web": 200,
		"/v1/instances/" + string(alpha.Instance): 404,
	} {
		if got, text := w.ask(http.MethodGet, path, "", token); got != status {
			t.Errorf("%s: got = %d text = %s; want got == status", path, got, text)
		}
	}
	for _, path := range []string{"/v1/leases", "/v1/instances", "/v1/sources", "/v1/events"} {
		if _, text := w.ask(http.MethodGet, path, "", token); strings.Contains(text, "alpha") {
			t.Errorf(`%s: text = %s; want text without "alpha"`, path, text)
		}
	}
	if status, text := w.ask(http.MethodPost, "/v1/leases", `{"source": "alpha"}`, token); status != 404 {
		t.Errorf("status = %d text = %s; want status == 404", status, text)
	}
	if status, text := w.ask(http.MethodDelete, "/v1/leases/"+alpha.ID, "", token); status != 404 {
		t.Errorf("status = %d text = %s; want status == 404", status, text)
	}
	if status, text := w.ask(http.MethodPost, "/v1/leases", `{"source": "web"}`, token); status != 201 {
		t.Errorf("status = %d text = %s; want status == 201", status, text)
	}
}

// TestAuditOfNames: the audit log keeps some of a long name, and nothing that a terminal obeys.
func TestAuditOfNames(t *testing.T) {
	w := newTown(t, nil)
	for _, name := range []string{strings.Repeat("x", 60<<10), "%C2%9B2J%E2%80%AEevil%1B"} {
		if status, _ := w.ask(http.MethodDelete, "/v1/leases/"+name, "", w.tokens["ann"], api.ReasonHeader, "\u009b2Jwhy"); status != 404 {
			t.Errorf("%.20s: got status %d, want 404", name, status)
		}
	}
	text := ""
	for end := time.Now().Add(10 * time.Second); !strings.Contains(text, "evil") && time.Now().Before(end); {
		_, text = w.ask(http.MethodGet, "/v1/audit?limit=2", "", w.tokens["root"])
	}
	if len(text) > 8<<10 {
		t.Errorf("got %d bytes of two entries, want few", len(text))
	}
	if !strings.Contains(text, "evil") || !strings.Contains(text, "2Jwhy") || strings.ContainsAny(text, "\u009b\u202e\x1b") {
		t.Errorf("got %.2000s, want the name without what a terminal obeys", text)
	}
}

// TestAudit: what is done is in the audit log, with who did it and why, and what is refused too;
// secrets are not.
func TestAudit(t *testing.T) {
	w := newTown(t, nil)
	_, text := w.ask(http.MethodPost, "/v1/leases", `{"source": "web", "purpose": "a build", "token": true}`, w.tokens["ann"])
	var got struct{ ID, Instance, Token string }
	if err := json.Unmarshal([]byte(text), &got); err != nil || !strings.HasPrefix(got.Token, auth.Prefix) {
		t.Fatalf("err = %v, text = %v; want no error and strings.HasPrefix(got.Token, auth.Prefix)", err, text)
	}
	w.ask(http.MethodDelete, "/v1/leases/"+got.ID, "", w.tokens["bea"], api.ReasonHeader, "mischief")
	w.ask(http.MethodPost, "/v1/leases/"+got.ID+"/use", "", w.tokens["ann"])
	w.ask(http.MethodGet, "/v1/leases", "", w.tokens["ann"])
	w.ask(http.MethodDelete, "/v1/leases/"+got.ID, "", got.Token, api.ReasonHeader, "done with it")
	w.ask(http.MethodGet, "/v1/leases", "", "hst_secret")
	w.ask(http.MethodPost, "/v1/reload", "", w.tokens["eve"])
	_, text = w.ask(http.MethodPost, "/v1/tokens", `{"name": "x"}`, w.tokens["eve"])
	var made struct{ Token string }
	if err := json.Unmarshal([]byte(text), &made); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ann token a acquire " + got.Instance + " done a build", "bea token a release " + got.ID + " denied mischief",
		"ann lease a release " + got.ID + " done done with it", "   sign-in  denied ",
		"eve token  reload  denied ", "eve token  create-token  done ",
	}
	var list []auth.AuditEntry
	for limit := time.Now().Add(time.Minute); len(list) < len(want) && time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		var err error
		if list, err = w.audit.List(t.Context(), auth.AuditQuery{Limit: 100}); err != nil {
			t.Fatal(err)
		}
	}
	var lines []string
	for _, a := range slices.Backward(list) {
		via, _, _ := strings.Cut(a.Via, " ")
		lines = append(lines, strings.Join([]string{a.Who, via, a.Project, a.Act, a.Thing, a.Outcome, a.Reason}, " "))
		whole, _ := json.Marshal(a)
		for _, secret := range []string{got.Token, made.Token, "hst_secret", w.tokens["ann"]} {
			if bytes.Contains(whole, []byte(secret)) {
				t.Errorf("the log tells a token: %s", whole)
			}
		}
	}
	if !slices.Equal(lines, want) {
		t.Errorf("%s\nis not\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if _, text := w.ask(http.MethodGet, "/v1/audit", "", w.tokens["opa"]); strings.Contains(text, "eve") ||
		strings.Contains(text, "sign-in") || !strings.Contains(text, "mischief") {
		t.Errorf("the operator of a sees %s", text)
	}
	if _, text := w.ask(
		http.MethodGet, "/v1/audit?limit=2&who=eve", "", w.tokens["root"],
	); strings.Count(text, `"eve"`) != 2 || strings.Contains(text, "ann") {
		t.Errorf("text = %s; want strings.Count(text, `\"eve\"`) == 2 and text without \"ann\"", text)
	}
}

// TestTooMany: who asks too often has to wait, and who comes with nothing good even more.
func TestTooMany(t *testing.T) {
	w := newTown(t, func(opt *server.Options) {
		opt.Callers.Limits = auth.NewLimits(auth.LimitOptions{Requests: 0.01, RequestBurst: 5, Failures: 0.01, FailureBurst: 3})
	})
	tries := func(token string) (n int) {
		for n = range 20 {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/v1/self", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			answer, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode == http.StatusTooManyRequests {
				if after := answer.Header.Get("Retry-After"); len(after) != 3 && after != "99" {
					t.Errorf("Retry-After: %q", after)
				}
				return n
			}
		}
		return n
	}
	if n := tries(w.tokens["ann"]); n != 5 {
		t.Errorf("ann may ask %d times", n)
	}
	if n := tries(w.tokens["bea"]); n != 5 {
		t.Errorf("bea may ask %d times", n)
	}
	if n := tries("nothing"); n != 3 {
		t.Errorf("a stranger may try %d times", n)
	}
	if n := tries(w.tokens["opa"]); n != 5 {
		t.Errorf("who is known, from an address that has guessed, may ask %d times", n)
	}
}

// TestRevokedMidStream: what is open by a token ends soon after it is revoked.
func TestRevokedMidStream(t *testing.T) {
	w := newTown(t, nil)
	tok := auth.Token{Owner: "ann"}
	secret, err := w.ring.Make(t.Context(), &tok, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, w.url, secret)
	l := w.take("ann", "a", "web")
	conn, err := c.Connect(t.Context(), compute.Who{Owner: "ann"}, l.Instance)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ran := make(chan error, 1)
	go func() {
		_, err := conn.Run(t.Context(), &compute.Command{Args: []string{"sleep", "1000"}})
		ran <- err
	}()
	watched := make(chan error, 1)
	go func() {
		watched <- c.Watch(t.Context(), inventory.EventQuery{}, func(compute.Event) error { return nil })
	}()
	t.Setenv("SHELL", "/bin/sh")
	shell, status := openTerminal(t, w.url, "/v1/instances/"+string(l.Instance)+"/terminal", secret, w.url)
	if shell == nil {
		t.Fatal(status)
	}
	shell.say(0, []byte("echo re''ady\n"))
	shell.until("ready")
	w.take("bea", "a", "full") // the only one
	waited := make(chan error, 1)
	go func() {
		_, err := c.Acquire(
			t.Context(),
			compute.Request{Source: "full", Count: 1, Owner: "ann", Project: "a", Wait: time.Hour, Notify: func(compute.Progress) {}},
		)
		waited <- err
	}()
	eventually(t, "one waits", func() bool {
		all, err := w.engine.Queue(t.Context())
		return err == nil && len(all) == 1
	})
	select {
	case err := <-ran:
		t.Fatalf("ended before: %v", err)
	case err := <-watched:
		t.Fatalf("ended before: %v", err)
	case err := <-waited:
		t.Fatalf("ended before: %v", err)
	case <-time.After(5 * time.Second):
	}
	if _, err := w.ring.Revoke(t.Context(), tok.ID, nil); err != nil {
		t.Fatal(err)
	}
	for what, end := range map[string]chan error{"the command": ran, "the stream of events": watched, "the request that waits": waited} {
		select {
		case err := <-end:
			if err == nil {
				t.Errorf("%s has ended as if nothing was", what)
			}
		case <-time.After(time.Minute):
			t.Errorf("%s goes on", what)
		}
	}
	if end := shell.end(); !strings.Contains(end.Reason, "what you may has changed") {
		t.Errorf("the terminal ended with %+v", end)
	}
	eventually(t, "nobody waits any more", func() bool {
		all, err := w.engine.Queue(t.Context())
		return err == nil && len(all) == 0
	})
}
