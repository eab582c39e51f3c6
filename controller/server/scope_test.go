package server_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/store"
)

// TestKeysOfBoundTokens: what somebody asked for with a token for one project, or one source, is
// not told to those who come with his token for another, and is not ended by them, though they have
// the same key.
func TestKeysOfBoundTokens(t *testing.T) {
	w := newTown(t, func(o *server.Options) { o.Replies = &memory{all: map[string]store.Answer{}} })
	w.people["ci"] = map[string]auth.Role{"a": auth.User, "b": auth.User}
	tokens := map[string]string{
		"a":     w.token(auth.Token{Owner: "ci", Bound: true, Project: "a"}),
		"b":     w.token(auth.Token{Owner: "ci", Bound: true, Project: "b"}),
		"b web": w.token(auth.Token{Owner: "ci", Bound: true, Project: "b", Source: "web"}),
		"b take": w.token(auth.Token{
			Owner: "ci", Bound: true, Project: "b", Source: "alpha", Only: auth.Permissions(auth.See | auth.Take),
		}),
	}
	take := func(token string) api.Acquired {
		t.Helper()
		status, text := w.ask("POST", "/v1/leases", `{"source": "web"}`, tokens[token], api.KeyHeader, "job-1")
		var out api.Acquired
		if err := json.Unmarshal([]byte(text), &out); status != http.StatusCreated || err != nil {
			t.Fatalf("%s: status = %d text = %s; want status == http.StatusCreated and no error", token, status, text)
		}
		return out
	}
	first := map[string]string{}
	for _, name := range []string{"a", "b", "b web"} {
		l := take(name)
		for other, id := range first {
			if id == l.ID {
				t.Errorf("the token for %s is answered with what that for %s was given", name, other)
			}
		}
		first[name] = l.ID
		if l.Project != name[:1] {
			t.Errorf("the token for %s is given a lease of %q", name, l.Project)
		}
		if again := take(name); again.ID != l.ID {
			t.Errorf("the token for %s is given another lease when it asks again", name)
		}
	}
	if status, text := w.ask("DELETE", "/v1/requests/job-1", "", tokens["b take"]); status != http.StatusNoContent {
		t.Errorf("give up: %d %s", status, text)
	}
	if status, text := w.ask("DELETE", "/v1/requests/job-1", "", tokens["b"]); status != http.StatusNoContent {
		t.Errorf("give up: %d %s", status, text)
	}
	for name, id := range first {
		_, l, err := w.engine.Resolve(t.Context(), id)
		if lives := err == nil && l != nil; lives != (name != "b") {
			t.Errorf("after the token for b gave its own up, the lease of that for %s lives: %v", name, lives)
		}
	}
}
