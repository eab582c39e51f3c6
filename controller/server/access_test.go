package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/hostler-project/hostler/auth"
)

// operation is one of the API's description.
type operation struct {
	ID         string `json:"operationId"`
	Permission string `json:"x-permission"`
	method     string
	path       string
}

// operations reads the API's description.
func operations(t *testing.T, url string) (all []operation) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url+"/openapi.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var doc struct {
		Paths map[string]map[string]operation `json:"paths"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			op.method, op.path = method, path
			all = append(all, op)
		}
	}
	if len(all) < 15 {
		t.Fatalf("only %d operations", len(all))
	}
	return all
}

// TestDeclared: each route says which permission it needs.
func TestDeclared(t *testing.T) {
	for _, op := range operations(t, serve(t, engine(t))) {
		if _, err := auth.ParsePermissions(op.Permission); err != nil && op.Permission != auth.Anyone.String() &&
			op.Permission != auth.Known.String() {
			t.Errorf("%s %s (%s) does not say which permission it needs: %v", op.method, op.path, op.ID, err)
		}
	}
}
