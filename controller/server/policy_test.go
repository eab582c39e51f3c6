package server_test

import (
	"testing"

	"github.com/hostler-project/hostler/policy"
)

// TestEveryFieldHasARule: each field of each request that changes something has a rule in package
// policy, and each rule there is of a field that there is.
func TestEveryFieldHasARule(t *testing.T) {
	w := newTown(t, nil)
	type schema struct {
		Ref        string `json:"$ref"`
		Properties map[string]any
	}
	var doc struct {
		Paths map[string]map[string]struct {
			ID         string `json:"operationId"`
			Parameters []struct{ In, Name string }
			Body       struct {
				Content map[string]struct{ Schema schema }
			} `json:"requestBody"`
		}
		Components struct{ Schemas map[string]schema }
	}
	if status := ask(t, w.url+"/openapi.json", &doc); status != 200 {
		t.Fatal(status)
	}
	rules := map[string]map[string]bool{}
	for _, a := range policy.Actions() {
		rules[a.Operation] = map[string]bool{}
		for _, f := range a.Fields {
			if rules[a.Operation][f.Key] || f.Who == "" || f.Within == "" {
				t.Errorf("the rule of %s in %s stands twice, or does not say who and within what", f.Key, a.Operation)
			}
			rules[a.Operation][f.Key] = true
		}
	}
	seen := 0
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if method == "get" {
				continue
			}
			seen++
			fields := map[string]bool{}
			for _, p := range op.Parameters {
				if p.In == "query" {
					fields[p.Name] = true
				}
			}
			for _, c := range op.Body.Content {
				s := c.Schema
				if s.Ref != "" {
					s = doc.Components.Schemas[s.Ref[len("#/components/schemas/"):]]
				}
				for name := range s.Properties {
					fields[name] = true
				}
			}
			has, ok := rules[op.ID]
			if !ok {
				t.Errorf("%s %s: the operation %s is not in policy.Actions", method, path, op.ID)
				continue
			}
			for name := range fields {
				if !has[name] {
					t.Errorf("%s: the field %s has no rule in policy.Actions: say who may set it, and within what", op.ID, name)
				}
				delete(has, name)
			}
			for name := range has {
				t.Errorf("policy.Actions has a rule for %s of %s, which has no such field", name, op.ID)
			}
			delete(rules, op.ID)
		}
	}
	for id := range rules {
		t.Errorf("policy.Actions has the operation %s, which there is not", id)
	}
	if seen < 20 {
		t.Errorf("only %d operations", seen)
	}
}
