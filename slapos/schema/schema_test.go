package schema_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/slapos/schema"
)

func decode(t testing.TB, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: err = %v; want no error", text, err)
	}
	return v
}

// checker has documents by their URLs.
func checker(t testing.TB, documents map[string]string) *schema.Checker {
	return &schema.Checker{Load: func(_ context.Context, url string) (any, error) {
		text, ok := documents[url]
		if !ok {
			return nil, fmt.Errorf("%s: no such document", url)
		}
		return decode(t, text), nil
	}}
}

const at = "https://software.example/schema.json"

func TestWords(t *testing.T) {
	for _, c := range []struct{ schema, good, bad, fault string }{
		{`{"type":"integer"}`, `[1, 1.0, 1e3, -2]`, `[1.5, "1", null, true]`, "must be a whole number"},
		{`{"type":["string","null"]}`, `["", null]`, `[1, {}]`, "must be a text or null"},
		{`{"type":"number"}`, `[1.5]`, `["a"]`, "it is a text, and must be a number"},
		{`{"enum":["a",1,null,[1]]}`, `["a",1.0,null,[1.0]]`, `["b","1",[2]]`, `must be one of "a", 1, null, [1]`},
		{`{"const":{"a":1}}`, `[{"a":1.0}]`, `[{"a":"1"},{}]`, `it must be {"a":1}`},
		{`{"minimum":1,"maximum":3}`, `[1,2,3,"x"]`, `[0]`, "it is less than 1"},
		{`{"exclusiveMinimum":1}`, `[1.1]`, `[1]`, "not more than 1"},
		{`{"minimum":1,"exclusiveMinimum":true}`, `[1.1]`, `[1]`, "less than 1"},
		{`{"exclusiveMaximum":1}`, `[0]`, `[1]`, "not less than 1"},
		{`{"multipleOf":0.1}`, `[0.3,1]`, `[0.35]`, "no multiple of 0.1"},
		{`{"minLength":2,"maxLength":3}`, `["éé","abc"]`, `["é"]`, "fewer than 2 characters"},
		{`{"pattern":"^a+$"}`, `["aa",1]`, `["b"]`, "does not match ^a+$"},
		{`{"pattern":"^(?!a)"}`, `["a"]`, ``, ""},
		{`{"required":["a"]}`, `[{"a":1},1]`, `[{}]`, `"a" is missing`},
		{
			`{"properties":{"frontend":{"type":"string"}},"additionalProperties":false}`, `[{},{"frontend":""}]`,
			`[{"fronted":""}]`, `"fronted" is not known here; did you mean "frontend"?`,
		},
		{`{"properties":{"a":{"type":"string"}}}`, `[{"a":"","b":1}]`, `[{"a":1}]`, "/a: it is a number"},
		{`{"properties":{"a/b":{"type":"string"}}}`, ``, `[{"a/b":1}]`, "/a~1b: it is a number"},
		{`{"additionalProperties":{"type":"string"}}`, `[{"a":""}]`, `[{"a":1}]`, "/a: "},
		{`{"patternProperties":{"^x":{"type":"string"}},"additionalProperties":false}`, `[{"x1":""}]`, `[{"x1":1},{"y":1}]`, ""},
		{`{"propertyNames":{"maxLength":2}}`, `[{"ab":1}]`, `[{"abc":1}]`, `the name "abc": it has more than 2`},
		{`{"minProperties":1,"maxProperties":1}`, `[{"a":1}]`, `[{},{"a":1,"b":1}]`, ""},
		{`{"dependencies":{"a":["b"]}}`, `[{"a":1,"b":1},{"b":1}]`, `[{"a":1}]`, `"b" is missing, which goes with "a"`},
		{`{"dependentSchemas":{"a":{"required":["c"]}}}`, `[{"a":1,"c":1}]`, `[{"a":1}]`, `"c" is missing`},
		{`{"items":{"type":"string"}}`, `[[],["a"]]`, `[["a",1]]`, "/1: "},
		{`{"items":[{"type":"string"}],"additionalItems":false}`, `[["a"]]`, `[["a",1],[1]]`, ""},
		{`{"prefixItems":[{"type":"string"}],"items":{"type":"number"}}`, `[["a",1]]`, `[["a","b"]]`, "/1: "},
		{`{"minItems":1,"maxItems":2,"uniqueItems":true}`, `[[1,"1"]]`, `[[],[1,1.0],[1,2,3]]`, ""},
		{`{"contains":{"type":"string"}}`, `[[1,"a"]]`, `[[1]]`, "of the kind"},
		{`{"contains":{"type":"string"},"minContains":2,"maxContains":2}`, `[["a","b"]]`, `[["a"],["a","b","c"]]`, ""},
		{`{"allOf":[{"type":"object"},{"required":["a"]}]}`, `[{"a":1}]`, `[{},1]`, ""},
		{`{"anyOf":[{"type":"string"},{"minimum":5}]}`, `["a",5]`, `[4]`, ""},
		{`{"oneOf":[{"type":"integer"},{"minimum":5}]}`, `[4,5.5]`, `[5,4.5]`, ""},
		{`{"oneOf":[{"type":"integer"},{"type":"number"}]}`, ``, `[5]`, "2 of 2 alternatives"},
		{`{"not":{"type":"string"}}`, `[1]`, `["a"]`, "must not be"},
		{
			`{"if":{"required":["a"]},"then":{"required":["b"]},"else":{"required":["c"]}}`, `[{"a":1,"b":1},{"c":1}]`,
			`[{"a":1},{}]`, "is missing",
		},
		{
			`{"allOf":[{"properties":{"a":true}}],"properties":{"b":true},"unevaluatedProperties":false}`,
			`[{"a":1,"b":1}]`, `[{"c":1}]`, `"c" is not known`,
		},
		{
			`{"anyOf":[{"properties":{"a":{"type":"string"}},"required":["a"]},true],"unevaluatedProperties":false}`,
			`[{"a":""},{}]`, `[{"a":1}]`, `"a" is not known`,
		},
		{`{"prefixItems":[true],"unevaluatedItems":false}`, `[[1]]`, `[[1,2]]`, "nothing may be here"},
		{`{"definitions":{"n":{"type":"number"}},"$ref":"#/definitions/n"}`, `[1]`, `["a"]`, ""},
		{`{"$defs":{"n":{"$anchor":"num","type":"number"}},"items":{"$ref":"#num"}}`, `[[1]]`, `[["a"]]`, "/0: "},
		{
			`{"$id":"https://other.example/x/","$defs":{"n":{"$id":"n.json","type":"number"}},"items":{"$ref":"n.json"}}`,
			`[[1]]`, `[["a"]]`, "/0: ",
		},
		{
			`{"properties":{"next":{"$ref":"#"},"v":{"type":"number"}}}`, `[{"next":{"next":{"v":1}}}]`,
			`[{"next":{"next":{"v":""}}}]`, "/next/next/v: ",
		},
		{`{"items":{"$ref":"other.json#/definitions/a%20b"}}`, `[[1]]`, `[["a"]]`, "/0: "},
		{`true`, `[1,{}]`, ``, ""},
		{`false`, ``, `[1]`, "nothing may be here"},
	} {
		k := checker(t, map[string]string{at: c.schema, "https://software.example/other.json": `{"definitions":{"a b":{"type":"number"}}}`})
		for kind, values := range map[string]string{"good": c.good, "bad": c.bad} {
			if values == "" {
				continue
			}
			for _, v := range decode(t, values).([]any) {
				faults, err := k.Check(t.Context(), at, v)
				if err != nil || (len(faults) == 0) != (kind == "good") || kind == "bad" && !strings.Contains(fmt.Sprint(faults), c.fault) {
					t.Errorf("%s: %v, which is %s: %v %v", c.schema, v, kind, faults, err)
				}
			}
		}
	}
}

func TestBadSchemas(t *testing.T) {
	for text, want := range map[string]string{
		`{"$ref":"#"}`:                     "leads to too many others",
		`{"$ref":"#/nothing"}`:             "there is no schema #/nothing",
		`{"$ref":"nothing.json"}`:          "https://software.example/nothing.json: no such document",
		`{"allOf":[1]}`:                    "an object or a boolean",
		`{"$ref":"%zz"}`:                   "is no reference",
		`{"allOf":[{"$ref":"#/allOf/7"}]}`: "there is no schema",
	} {
		if _, err := checker(t, map[string]string{at: text}).Check(t.Context(), at, 1.0); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: err = %v; want an error and err.Error() with want", text, err)
		}
	}
	wide := `{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}`
	if _, err := checker(t, map[string]string{at: wide}).Check(t.Context(), at, 1.0); err == nil {
		t.Error("a schema that grows without end has no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := checker(t, map[string]string{at: `{}`}).Check(ctx, at, 1.0); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestFaultsAreBounded(t *testing.T) {
	list := make([]any, 1000)
	faults, err := checker(t, map[string]string{at: `{"items":{"type":"string"}}`}).Check(t.Context(), at, list)
	if err != nil || len(faults) != 20 {
		t.Errorf("len(faults) = %d, err = %v; want no error and len(faults) == 20", len(faults), err)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(`{"type":"object","properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"minimum":1}}}`, `{"a":0}`)
	f.Add(`{"anyOf":[{"items":[true,false]},{"multipleOf":1e-9}]}`, `[1e99999,{}]`)
	f.Fuzz(func(t *testing.T, text, value string) {
		var v any
		if !json.Valid([]byte(text)) || !json.Valid([]byte(value)) {
			return
		}
		v = decode(t, value)
		_, _ = checker(t, map[string]string{at: text}).Check(t.Context(), at, v)
	})
}
