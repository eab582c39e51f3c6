package oldconfig

import (
	"errors"
	"strconv"
	"strings"
)

// Value is a Python literal: nil, string, int64, float64, bool, List or Dict, or a Reference to
// what Python would have asked for.
type Value any

// List is a list or a tuple.
type List []Value

// Dict is a dictionary, in the order of its keys.
type Dict []Item

// Item is a key of a Dict.
type Item struct {
	Key   string
	Value Value
}

// Reference is env:NAME where the file asks the environment.
type Reference string

var errLiteral = errors.New("it is no literal")

// parser reads literals from tokens.
type parser struct {
	tokens []token
	depth  int
}

// maxDepth is how deep literals may stand in each other.
const maxDepth = 50

func (p *parser) peek() (token, bool) {
	if len(p.tokens) == 0 {
		return token{}, false
	}
	return p.tokens[0], true
}

// take takes the tokens that are as given, all or none.
func (p *parser) take(words ...string) bool {
	if len(p.tokens) < len(words) {
		return false
	}
	for i, w := range words {
		if !p.tokens[i].is(w) {
			return false
		}
	}
	p.tokens = p.tokens[len(words):]
	return true
}

// value reads a literal, and sums of strings or lists.
func (p *parser) value() (Value, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, errors.New("it is nested too deep")
	}
	defer func() { p.depth-- }()
	v, err := p.term()
	for err == nil && p.take("+") {
		var more Value
		if more, err = p.term(); err != nil {
			break
		}
		switch a := v.(type) {
		case string:
			b, ok := more.(string)
			if !ok {
				return nil, errLiteral
			}
			v = a + b
		case List:
			b, ok := more.(List)
			if !ok {
				return nil, errLiteral
			}
			v = append(a, b...)
		default:
			return nil, errLiteral
		}
	}
	return v, err
}

// term reads one literal of Python without a sum. Anything else, such as a call, is errLiteral.
func (p *parser) term() (Value, error) {
	t, ok := p.peek()
	if !ok {
		return nil, errLiteral
	}
	switch {
	case t.kind == text:
		var b strings.Builder
		for ok && t.kind == text { // strings that stand beside each other are one
			b.WriteString(t.text)
			p.tokens = p.tokens[1:]
			t, ok = p.peek()
		}
		return b.String(), nil
	case p.take("-"):
		v, err := p.term()
		switch n := v.(type) {
		case int64:
			return -n, err
		case float64:
			return -n, err
		}
		return nil, errLiteral
	case t.kind == number:
		p.tokens = p.tokens[1:]
		if n, err := strconv.ParseInt(strings.TrimRight(t.text, "lL"), 0, 64); err == nil {
			return n, nil
		}
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			return nil, errLiteral
		}
		return f, nil
	case p.take("None"):
		return nil, nil
	case p.take("True"):
		return true, nil
	case p.take("False"):
		return false, nil
	case p.take("os", ".", "environ"), p.take("os", ".", "getenv"), p.take("environ"), p.take("getenv"):
		return p.environ()
	case p.take("["):
		l, _, err := p.list("]")
		return l, err
	case p.take("("):
		l, comma, err := p.list(")")
		if err == nil && len(l) == 1 && !comma {
			return l[0], nil // brackets alone make no tuple
		}
		return l, err
	case p.take("{"):
		return p.dict()
	}
	return nil, errLiteral
}

// environ reads what follows os.environ: ['NAME'], .get('NAME') or, of getenv, ('NAME').
func (p *parser) environ() (Value, error) {
	end := ")"
	switch {
	case p.take("["):
		end = "]"
	case p.take(".", "get", "("), p.take("("):
	default:
		return nil, errLiteral
	}
	t, ok := p.peek()
	// with a default it is more than a reference
	if !ok || t.kind != text || len(p.tokens) < 2 || !p.tokens[1].is(end) {
		return nil, errLiteral
	}
	p.tokens = p.tokens[2:]
	return Reference("env:" + t.text), nil
}

// list reads to the closing bracket. comma: the last element had one behind it.
func (p *parser) list(end string) (out List, comma bool, err error) {
	out = List{}
	for !p.take(end) {
		v, err := p.value()
		if err != nil {
			return nil, false, err
		}
		out = append(out, v)
		if comma = p.take(","); !comma {
			if !p.take(end) {
				return nil, false, errLiteral
			}
			break
		}
	}
	return out, comma, nil
}

// dict reads a dictionary after its opening brace. Keys must be strings. A comma may follow the
// last item.
func (p *parser) dict() (Value, error) {
	out := Dict{}
	for !p.take("}") {
		k, err := p.value()
		if err != nil {
			return nil, err
		}
		key, ok := k.(string)
		if !ok || !p.take(":") {
			return nil, errLiteral
		}
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		out = append(out, Item{key, v})
		if !p.take(",") {
			if !p.take("}") {
				return nil, errLiteral
			}
			break
		}
	}
	return out, nil
}
