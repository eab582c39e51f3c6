package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// result is the outcome of a check: the faults, and the members of the value that a schema
// mentioned.
type result struct {
	faults  []Fault
	members map[string]bool // of an object
	items   int             // of a list, so many from its begin
	rest    bool            // all members, or all items
}

func (r *result) fault(at, format string, args ...any) {
	r.faults = append(r.faults, Fault{at, fmt.Sprintf(format, args...)})
}

func (r result) ok() bool { return len(r.faults) == 0 }

// addSeen takes over which members another schema had a word for.
func (r *result) addSeen(other result) {
	if !other.ok() {
		return
	}
	for name := range other.members {
		r.see(name)
	}
	r.items, r.rest = max(r.items, other.items), r.rest || other.rest
}

func (r *result) see(name string) {
	if r.members == nil {
		r.members = map[string]bool{}
	}
	r.members[name] = true
}

// check looks whether a value, which stands at a pointer, is as a schema wants it.
func (w *walk) check(p place, value any, at string, depth int) (r result) {
	w.steps++
	if w.steps > maxSteps || depth > maxDepth {
		w.fail("%w", errSteps)
	}
	if w.err == nil && w.ctx.Err() != nil {
		w.fail("%w", w.ctx.Err())
	}
	if w.err != nil {
		return r
	}
	s, ok := p.schema.(map[string]any)
	if !ok {
		if wanted, is := p.schema.(bool); is {
			if !wanted {
				r.fault(at, "nothing may be here")
			}
			return r
		}
		w.fail("%s: a schema is an object or a boolean, and one in it is neither", p.base)
		return r
	}
	for _, key := range []string{"$id", "id"} {
		if id, ok := s[key].(string); ok {
			if full, err := join(p.base, id); err == nil {
				p.base, _, _ = strings.Cut(full, "#")
			}
			break
		}
	}
	in := func(schema any, value any, at string) result {
		return w.check(place{schema, p.base}, value, at, depth+1)
	}
	for _, key := range []string{"$ref", "$dynamicRef", "$recursiveRef"} {
		reference, ok := s[key].(string)
		if !ok {
			continue
		}
		to, err := w.resolve(p.base, reference)
		if err != nil {
			w.fail("%w", err)
			return r
		}
		got := w.check(to, value, at, depth+1)
		r.faults = append(r.faults, got.faults...)
		r.addSeen(got)
	}
	w.any(s, value, at, &r)
	switch v := value.(type) {
	case map[string]any:
		w.object(s, v, at, &r, in)
	case []any:
		w.list(s, v, at, &r, in)
	case string:
		w.text(s, v, at, &r)
	default:
		if n, ok := number(v); ok {
			w.number(s, n, at, &r)
		}
	}
	w.combined(s, value, at, &r, in)
	w.unevaluated(s, value, at, &r, in)
	return r
}

// inside checks with a schema that stands in another.
type inside func(schema any, value any, at string) result

// combined are the words that hold schemas for the value itself.
func (w *walk) combined(s map[string]any, value any, at string, r *result, in inside) {
	for _, schema := range list(s["allOf"]) {
		got := in(schema, value, at)
		r.faults = append(r.faults, got.faults...)
		r.addSeen(got)
	}
	if all := list(s["anyOf"]); len(all) > 0 {
		fits, nearest := 0, result{}
		for i, schema := range all {
			got := in(schema, value, at)
			r.addSeen(got)
			if got.ok() {
				fits++
			} else if i == 0 || len(got.faults) < len(nearest.faults) {
				nearest = got
			}
		}
		if fits == 0 {
			w.none(at, len(all), nearest, r)
		}
	}
	if all := list(s["oneOf"]); len(all) > 0 {
		fits, nearest := 0, result{}
		for i, schema := range all {
			got := in(schema, value, at)
			if got.ok() {
				if fits++; fits == 1 {
					r.addSeen(got)
				}
			} else if i == 0 || len(got.faults) < len(nearest.faults) {
				nearest = got
			}
		}
		switch {
		case fits == 0:
			w.none(at, len(all), nearest, r)
		case fits > 1:
			r.fault(at, "it is as %d of %d alternatives want it, and must be so of one alone", fits, len(all))
		}
	}
	if schema, ok := s["not"]; ok && in(schema, value, at).ok() && w.err == nil {
		r.fault(at, "it is what it must not be")
	}
	if schema, ok := s["if"]; ok {
		got, then := in(schema, value, at), "else"
		if got.ok() {
			r.addSeen(got)
			then = "then"
		}
		if schema, ok := s[then]; ok {
			got := in(schema, value, at)
			r.faults = append(r.faults, got.faults...)
			r.addSeen(got)
		}
	}
}

// none is the result when no alternative fits: the faults by the nearest one.
func (w *walk) none(at string, n int, nearest result, r *result) {
	if n == 1 || len(nearest.faults) == 1 {
		r.faults = append(r.faults, nearest.faults...)
		return
	}
	var reasons []string
	for _, f := range nearest.faults[:min(3, len(nearest.faults))] {
		reasons = append(reasons, f.String())
	}
	r.fault(at, "it is as none of %d alternatives wants it; by the nearest: %s", n, strings.Join(reasons, "; "))
}

// object are the words for objects.
func (w *walk) object(s map[string]any, v map[string]any, at string, r *result, in inside) {
	for _, name := range list(s["required"]) {
		if name, ok := name.(string); ok {
			if _, ok := v[name]; !ok {
				r.fault(at, "%q is missing", name)
			}
		}
	}
	bound(
		s, "minProperties", func(n float64) bool { return float64(len(v)) >= n },
		func(n string) { r.fault(at, "it has fewer than %s members", n) },
	)
	bound(
		s, "maxProperties", func(n float64) bool { return float64(len(v)) <= n },
		func(n string) { r.fault(at, "it has more than %s members", n) },
	)
	properties, _ := s["properties"].(map[string]any)
	patterns, _ := s["patternProperties"].(map[string]any)
	more, closed := s["additionalProperties"]
	for _, name := range slices.Sorted(maps.Keys(v)) {
		inner, known := at+"/"+escape(name), false
		if schema, ok := properties[name]; ok {
			known = true
			r.take(in(schema, v[name], inner))
		}
		for _, pattern := range slices.Sorted(maps.Keys(patterns)) {
			if w.matches(pattern, name) {
				known = true
				r.take(in(patterns[pattern], v[name], inner))
			}
		}
		if !known && closed {
			known = true
			if more == false {
				r.fault(at, "%q is not known here%s", name, didYouMean(name, properties))
			} else {
				r.take(in(more, v[name], inner))
			}
		}
		if known {
			r.see(name)
		}
		if schema, ok := s["propertyNames"]; ok {
			for _, f := range in(schema, name, "").faults {
				r.fault(at, "the name %q: %s", name, f.Reason)
			}
		}
		w.depends(s, v, name, at, r, in)
	}
}

// depends are the words for what a member brings with it.
func (w *walk) depends(s map[string]any, v map[string]any, name, at string, r *result, in inside) {
	for _, key := range []string{"dependencies", "dependentRequired", "dependentSchemas"} {
		of, _ := s[key].(map[string]any)
		switch d := of[name].(type) {
		case nil:
		case []any:
			for _, other := range d {
				if other, ok := other.(string); ok {
					if _, ok := v[other]; !ok {
						r.fault(at, "%q is missing, which goes with %q", other, name)
					}
				}
			}
		default:
			got := in(d, v, at)
			r.faults = append(r.faults, got.faults...)
			r.addSeen(got)
		}
	}
}

// take adds the faults of a member.
func (r *result) take(inner result) { r.faults = append(r.faults, inner.faults...) }

// list are the words for lists.
func (w *walk) list(s map[string]any, v []any, at string, r *result, in inside) {
	bound(
		s, "minItems", func(n float64) bool { return float64(len(v)) >= n },
		func(n string) { r.fault(at, "it has fewer than %s items", n) },
	)
	bound(
		s, "maxItems", func(n float64) bool { return float64(len(v)) <= n },
		func(n string) { r.fault(at, "it has more than %s items", n) },
	)
	first, rest := list(s["prefixItems"]), s["items"]
	if tuple, ok := rest.([]any); ok { // before 2020
		first, rest = tuple, s["additionalItems"]
	}
	for i, item := range v {
		inner := fmt.Sprintf("%s/%d", at, i)
		switch {
		case i < len(first):
			r.take(in(first[i], item, inner))
			r.items = max(r.items, i+1)
		case rest != nil:
			r.take(in(rest, item, inner))
			r.rest = true
		}
	}
	if s["uniqueItems"] == true {
		seen := map[string]int{}
		for i, item := range v {
			text := canonical(item)
			if before, again := seen[text]; again {
				r.fault(at, "its items %d and %d are the same", before, i)
			}
			seen[text] = i
		}
	}
	if schema, ok := s["contains"]; ok {
		n := 0
		for i, item := range v {
			if in(schema, item, fmt.Sprintf("%s/%d", at, i)).ok() {
				n++
			}
		}
		least, most := 1.0, -1.0
		if m, ok := number(s["minContains"]); ok {
			least = m.float
		}
		if m, ok := number(s["maxContains"]); ok {
			most = m.float
		}
		if float64(n) < least || most >= 0 && float64(n) > most {
			r.fault(at, "%d of its items are of the kind of which it must have a certain number", n)
		}
	}
}

// unevaluated are the words for what no other had a word for.
func (w *walk) unevaluated(s map[string]any, value any, at string, r *result, in inside) {
	switch v := value.(type) {
	case map[string]any:
		schema, ok := s["unevaluatedProperties"]
		if !ok || r.rest {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if r.members[name] {
				continue
			}
			r.see(name)
			if schema == false {
				r.fault(at, "%q is not known here", name)
				continue
			}
			r.take(in(schema, v[name], at+"/"+escape(name)))
		}
	case []any:
		schema, ok := s["unevaluatedItems"]
		if !ok || r.rest {
			return
		}
		for i := r.items; i < len(v); i++ {
			r.take(in(schema, v[i], fmt.Sprintf("%s/%d", at, i)))
		}
		r.rest = true
	}
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func escape(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}
