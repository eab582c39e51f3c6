package schema

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hostler-project/hostler/text/nearest"
)

// num is a number.
type num struct {
	float float64
	text  string
}

// number takes a value for a number.
func number(v any) (num, bool) {
	switch n := v.(type) {
	case float64:
		return num{n, strconv.FormatFloat(n, 'g', -1, 64)}, true
	case json.Number:
		f, err := strconv.ParseFloat(string(n), 64)
		if err != nil && !math.IsInf(f, 0) {
			return num{}, false
		}
		return num{f, string(n)}, true
	case int:
		return num{float64(n), strconv.Itoa(n)}, true
	case int64:
		return num{float64(n), strconv.FormatInt(n, 10)}, true
	}
	return num{}, false
}

// exact is a number exactly as written, unless it is too large for that.
func (n num) exact() (*big.Rat, bool) {
	if len(n.text) > 200 || n.float != 0 && (math.Abs(n.float) > 1e100 || math.Abs(n.float) < 1e-100) {
		return nil, false
	}
	if _, exponent, ok := strings.Cut(strings.ToLower(n.text), "e"); ok && len(exponent) > 4 {
		return nil, false
	}
	return new(big.Rat).SetString(n.text)
}

// compare is below 0 where a is less than b.
func compare(a, b num) int {
	if x, ok := a.exact(); ok {
		if y, ok := b.exact(); ok {
			return x.Cmp(y)
		}
	}
	switch {
	case a.float < b.float:
		return -1
	case a.float > b.float:
		return 1
	}
	return 0
}

func (n num) whole() bool {
	if x, ok := n.exact(); ok {
		return x.IsInt()
	}
	return n.float == math.Trunc(n.float)
}

// any are the words for values of all kinds.
func (w *walk) any(s map[string]any, value any, at string, r *result) {
	switch kinds := s["type"].(type) {
	case string:
		if !is(value, kinds) {
			r.fault(at, "it is %s, and must be %s", kind(value), article(kinds))
		}
	case []any:
		var names []string
		for _, k := range kinds {
			if name, ok := k.(string); ok {
				if is(value, name) {
					names = nil
					break
				}
				names = append(names, article(name))
			}
		}
		if len(names) > 0 {
			r.fault(at, "it is %s, and must be %s", kind(value), strings.Join(names, " or "))
		}
	}
	if wanted, ok := s["const"]; ok && canonical(wanted) != canonical(value) {
		r.fault(at, "it must be %s", shown(wanted))
	}
	if wanted, ok := s["enum"].([]any); ok {
		var known []string
		text := canonical(value)
		for _, v := range wanted {
			if canonical(v) == text {
				return
			}
			known = append(known, shown(v))
		}
		more := ""
		if len(known) > 20 {
			known, more = known[:20], ", …"
		}
		r.fault(at, "it is %s, and must be one of %s%s", shown(value), strings.Join(known, ", "), more)
	}
}

// is reports whether value is of a type by its name in JSON Schema. A number without a fraction
// is an integer.
func is(value any, kind string) bool {
	switch value.(type) {
	case nil:
		return kind == "null"
	case bool:
		return kind == "boolean"
	case string:
		return kind == "string"
	case []any:
		return kind == "array"
	case map[string]any:
		return kind == "object"
	}
	n, ok := number(value)
	return ok && (kind == "number" || kind == "integer" && n.whole())
}

func kind(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a text"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "a number"
}

// article is a kind's name in a sentence.
func article(kind string) string {
	switch kind {
	case "string":
		return "a text"
	case "integer":
		return "a whole number"
	case "array":
		return "a list"
	case "object":
		return "an object"
	case "null":
		return kind
	}
	return "a " + kind
}

// text are the words for texts.
func (w *walk) text(s map[string]any, v, at string, r *result) {
	length := float64(utf8.RuneCountInString(v))
	bound(s, "minLength", func(n float64) bool { return length >= n }, func(n string) { r.fault(at, "it has fewer than %s characters", n) })
	bound(s, "maxLength", func(n float64) bool { return length <= n }, func(n string) { r.fault(at, "it has more than %s characters", n) })
	if pattern, ok := s["pattern"].(string); ok && !w.matches(pattern, v) {
		r.fault(at, "it does not match %s", pattern)
	}
}

// number are the words for numbers.
func (w *walk) number(s map[string]any, v num, at string, r *result) {
	low, high := "it is less than %s", "it is more than %s"
	if least, ok := number(s["minimum"]); ok {
		if c := compare(v, least); c < 0 || c == 0 && s["exclusiveMinimum"] == true {
			r.fault(at, low, least.text)
		}
	}
	if most, ok := number(s["maximum"]); ok {
		if c := compare(v, most); c > 0 || c == 0 && s["exclusiveMaximum"] == true {
			r.fault(at, high, most.text)
		}
	}
	if least, ok := number(s["exclusiveMinimum"]); ok && compare(v, least) <= 0 {
		r.fault(at, "it is not more than %s", least.text)
	}
	if most, ok := number(s["exclusiveMaximum"]); ok && compare(v, most) >= 0 {
		r.fault(at, "it is not less than %s", most.text)
	}
	if step, ok := number(s["multipleOf"]); ok && step.float > 0 {
		x, ok := v.exact()
		y, good := step.exact()
		if ok && good && !new(big.Rat).Quo(x, y).IsInt() {
			r.fault(at, "it is no multiple of %s", step.text)
		}
	}
}

// bound checks by a word that holds a number.
func bound(s map[string]any, key string, ok func(n float64) bool, fault func(n string)) {
	if n, is := number(s[key]); is && !ok(n.float) {
		fault(n.text)
	}
}

// canonical is a text that two values have in common when they are the same by JSON Schema.
func canonical(v any) string {
	if n, ok := number(v); ok {
		if x, ok := n.exact(); ok {
			return x.RatString()
		}
		return n.text
	}
	switch v := v.(type) {
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = canonical(item)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case map[string]any:
		inner := make(map[string]string, len(v))
		for name, member := range v {
			inner[name] = canonical(member)
		}
		b, _ := json.Marshal(inner)
		return string(b)
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// shown is a value in a sentence.
func shown(v any) string {
	b, _ := json.Marshal(v)
	if text := []rune(string(b)); len(text) > 60 {
		return string(text[:60]) + "…"
	}
	return string(b)
}

// didYouMean offers a name that is known in place of one that is not.
func didYouMean(name string, known map[string]any) string {
	var names []string
	for n := range known {
		names = append(names, n)
	}
	if n := nearest.Meant(name, names); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	return ""
}

const maxPattern = 4 << 10

// matches says whether a pattern is in a text. One that Go's way of matching does not have, as it
// looks ahead or back, is taken for matched.
func (w *walk) matches(pattern, text string) bool {
	if len(pattern) > maxPattern {
		return true
	}
	compiled, ok := w.patterns[pattern]
	if !ok {
		compiled, _ = regexp.Compile(pattern)
		if w.patterns == nil {
			w.patterns = map[string]*regexp.Regexp{}
		}
		w.patterns[pattern] = compiled
	}
	return compiled == nil || compiled.MatchString(text)
}
