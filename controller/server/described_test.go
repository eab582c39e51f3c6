package server_test

import (
	"slices"
	"testing"
)

// TestDescribed: each operation is described with the problem that may be its answer, and with the
// headers that it takes.
func TestDescribed(t *testing.T) {
	w := newTown(t, nil)
	var doc struct {
		Paths map[string]map[string]struct {
			ID         string `json:"operationId"`
			Permission string `json:"x-permission"`
			Parameters []struct{ In, Name string }
			Responses  map[string]struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					}
				}
			}
		}
	}
	if status := ask(t, w.url+"/openapi.json", &doc); status != 200 {
		t.Fatal(status)
	}
	// of which browsers see other answers
	pages := []string{"login-page", "login-callback", "open-session", "sign-out"}
	keyed := []string{"create-token", "acquire", "extend", "fill", "test-source"}
	acts := []string{"acquire", "release", "release-many", "hold", "connect", "cancel", "create-token", "reload"}
	seen := 0
	for path, methods := range doc.Paths {
		for method, op := range methods {
			seen++
			at := method + " " + path
			if ref := op.Responses["default"].Content["application/problem+json"].Schema.Ref; ref != "#/components/schemas/Problem" &&
				!slices.Contains(pages, op.ID) {
				t.Errorf("%s: an error has the schema %q", at, ref)
			}
			var headers []string
			for _, p := range op.Parameters {
				if p.In == "header" {
					headers = append(headers, p.Name)
				}
			}
			if has, want := slices.Contains(headers, "Idempotency-Key"), slices.Contains(keyed, op.ID); has != want {
				t.Errorf("%s: the key is described: %v, want %v", at, has, want)
			}
			if has, want := slices.Contains(headers, "Hostler-Project"), op.Permission != "anyone"; has != want {
				t.Errorf("%s: the project is described: %v, want %v", at, has, want)
			}
			if slices.Contains(acts, op.ID) && !slices.Contains(headers, "Hostler-Reason") {
				t.Errorf("%s: the reason is not described", at)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d operations", seen)
	}
}
