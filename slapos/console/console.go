package console

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hostler-project/hostler/slapos/proto"
)

// ErrIncomplete says that a line goes on in the next: something is open at its end.
var ErrIncomplete = errors.New("it is not finished: something is open at its end")

const maxDepth = 100 // of values within values

// A Func is called with what stands between its brackets.
type Func func(ctx context.Context, a Arguments) (any, error)

// An object has members: values, and functions of type [Func].
type object interface{ Member(name string) (any, bool) }

// Arguments are those of a call.
type Arguments struct {
	List  []any
	Named map[string]any
}

// Bind gives each argument its name, in the order of names for those that have none, and refuses
// others. The first required must be there.
func (a Arguments) Bind(required int, names ...string) (map[string]any, error) {
	if len(a.List) > len(names) {
		return nil, fmt.Errorf("it takes %d values at most: %s", len(names), strings.Join(names, ", "))
	}
	got := map[string]any{}
	for i, v := range a.List {
		got[names[i]] = v
	}
	for _, name := range slices.Sorted(maps.Keys(a.Named)) {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("it takes no %s; there are %s", name, strings.Join(names, ", "))
		}
		if _, again := got[name]; again {
			return nil, fmt.Errorf("%s is given twice", name)
		}
		got[name] = a.Named[name]
	}
	for _, name := range names[:required] {
		if got[name] == nil {
			return nil, fmt.Errorf("%s is missing", name)
		}
	}
	return got, nil
}

// A Console has names for values, functions and objects. It is for one goroutine.
type Console struct{ Names map[string]any }

// Run runs a line, and returns its value or nil. A value is nil, a bool, string, int64, float64,
// [proto.List], [proto.Dictionary], a [Func] or an object.
func (c *Console) Run(ctx context.Context, line string) (any, error) {
	p := &parser{c: c, ctx: ctx, text: line}
	p.space()
	if p.text == "" {
		return nil, nil
	}
	name := p.word()
	if name == "import" {
		return nil, p.known(line)
	}
	rest := *p
	if rest.space(); name != "" && strings.HasPrefix(rest.text, "=") && !strings.HasPrefix(rest.text, "==") {
		p.text = rest.text[1:]
	} else {
		name, p.text = "", line
	}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.text != "" {
		return nil, p.syntaxError()
	}
	if name != "" {
		c.Names[name] = v
		return nil, nil
	}
	return v, nil
}

// known accepts an import of a module that is here anyway.
func (p *parser) known(line string) error {
	p.space()
	module, is := p.c.Names[p.word()].(object)
	if p.space(); !is || module == nil || p.text != "" {
		p.text = strings.TrimSpace(line)
		return p.syntaxError()
	}
	return nil
}

// parser has the unread rest of a line.
type parser struct {
	c    *Console
	ctx  context.Context
	text string
}

func (p *parser) space() {
	p.text = strings.TrimLeft(p.text, " \t\r\n")
	if strings.HasPrefix(p.text, "#") {
		_, p.text, _ = strings.Cut(p.text, "\n")
		p.space()
	}
}

// accept takes a mark off the begin, after spaces.
func (p *parser) accept(mark string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.text, mark)
	if ok {
		p.text = rest
	}
	return ok
}

// word takes a name off the begin; "": there is none.
func (p *parser) word() string {
	end := strings.IndexFunc(p.text, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if end < 0 {
		end = len(p.text)
	}
	word := p.text[:end]
	if word == "" || word[0] >= '0' && word[0] <= '9' {
		return ""
	}
	p.text = p.text[end:]
	return word
}

func (p *parser) syntaxError() error {
	if p.text == "" {
		return ErrIncomplete
	}
	text := []rune(p.text)
	return fmt.Errorf("%q is not understood: here are calls, names and values, and no other Python", string(text[:min(20, len(text))]))
}

// value reads a value, with calls and members behind it.
func (p *parser) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("deeper than %d values within values", maxDepth)
	}
	v, what, err := p.simple(depth)
	for err == nil {
		switch {
		case p.accept("."):
			name := p.word()
			object, ok := v.(object)
			if name == "" {
				return nil, p.syntaxError()
			} else if !ok {
				return nil, fmt.Errorf("%s has no %s", what, name)
			} else if v, ok = object.Member(name); !ok {
				return nil, fmt.Errorf("%s has no %s", what, name)
			}
			what += "." + name
		case p.accept("("):
			var a Arguments
			if a, err = p.arguments(depth); err != nil {
				return nil, err
			}
			f, ok := v.(Func)
			if !ok {
				return nil, fmt.Errorf("%s is no function", what)
			}
			if v, err = f(p.ctx, a); err != nil {
				return nil, fmt.Errorf("%s: %w", what, err)
			}
			what += "()"
		case p.accept("["):
			if v, err = p.index(v, what, depth); err != nil {
				return nil, err
			}
		default:
			return v, nil
		}
	}
	return nil, err
}

// index reads a key and the closing bracket, and returns that member of v.
func (p *parser) index(v any, what string, depth int) (any, error) {
	key, err := p.value(depth + 1)
	if err != nil {
		return nil, err
	}
	if !p.accept("]") {
		return nil, p.syntaxError()
	}
	switch v := v.(type) {
	case proto.Dictionary:
		if name, ok := key.(string); ok {
			if member, ok := v[name]; ok {
				return member, nil
			}
		}
	case proto.List:
		if i, ok := key.(int64); ok && i >= 0 && i < int64(len(v)) {
			return v[i], nil
		}
	}
	return nil, fmt.Errorf("%s has no member %v", what, key)
}

// simple reads a literal value or a name, and returns its value with a description.
func (p *parser) simple(depth int) (any, string, error) {
	p.space()
	if p.text == "" {
		return nil, "", ErrIncomplete
	}
	switch c := p.text[0]; {
	case c == '"' || c == '\'':
		v, err := p.quoted()
		return v, "a text", err
	case c >= '0' && c <= '9' || c == '-' || c == '.':
		v, err := p.number()
		return v, "a number", err
	case p.accept("["):
		v, err := p.list("]", depth)
		return v, "a list", err
	case p.accept("("):
		v, err := p.list(")", depth)
		return v, "a list", err
	case p.accept("{"):
		v, err := p.dictionary(depth)
		return v, "a dictionary", err
	}
	before := p.text
	switch name := p.word(); name {
	case "":
		return nil, "", p.syntaxError()
	case "None":
		return nil, name, nil
	case "True", "False":
		return name == "True", name, nil
	default:
		if p.text != "" && (p.text[0] == '"' || p.text[0] == '\'') && strings.Trim(strings.ToLower(name), "u") == "" {
			v, err := p.quoted() // u"…"
			return v, "a text", err
		}
		v, ok := p.c.Names[name]
		if !ok {
			switch name {
			case "if", "for", "while", "def", "class", "import", "from", "with", "try", "del", "lambda", "not":
				p.text = before
				return nil, "", p.syntaxError()
			}
			return nil, "", fmt.Errorf("there is no %s; there are %s", name, strings.Join(slices.Sorted(maps.Keys(p.c.Names)), ", "))
		}
		return v, name, nil
	}
}

// number reads an int64, or else a float64.
func (p *parser) number() (any, error) {
	end := strings.IndexFunc(p.text[1:], func(r rune) bool { return !strings.ContainsRune("0123456789.eE+-", r) }) + 1
	if end == 0 {
		end = len(p.text)
	}
	text := p.text[:end]
	p.text = p.text[end:]
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("%.50q is no number", text)
	}
	return f, nil
}

// quoted reads a text between quotes, or between three of them.
func (p *parser) quoted() (string, error) {
	mark := p.text[:1]
	if long := strings.Repeat(mark, 3); strings.HasPrefix(p.text, long) {
		mark = long
	}
	rest := p.text[len(mark):]
	var b strings.Builder
	for {
		if strings.HasPrefix(rest, mark) {
			p.text = rest[len(mark):]
			return b.String(), nil
		}
		switch r, size := utf8.DecodeRuneInString(rest); {
		case size == 0 && len(mark) == 3:
			return "", ErrIncomplete
		case size == 0 || r == '\n' && len(mark) == 1:
			return "", errors.New("a text has no quote at its end")
		case r != '\\':
			b.WriteString(rest[:size])
			rest = rest[size:]
		default:
			if strings.HasPrefix(rest[1:], "\n") { // goes on in the next line
				rest = rest[2:]
				continue
			}
			c, multi, tail, err := strconv.UnquoteChar(rest, mark[0])
			if err != nil {
				if _, size = utf8.DecodeRuneInString(rest[1:]); size == 0 {
					return "", ErrIncomplete
				}
				b.WriteString(rest[:1+size])
				rest = rest[1+size:]
				continue
			}
			if rest = tail; multi || c < utf8.RuneSelf {
				b.WriteRune(c)
			} else {
				b.WriteRune(rune(byte(c))) // \xe9 is a character in Python
			}
		}
	}
}

// list reads values up to end; a comma before end is allowed.
func (p *parser) list(end string, depth int) (proto.List, error) {
	list := proto.List{}
	for !p.accept(end) {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		if !p.accept(",") {
			if !p.accept(end) {
				return nil, p.syntaxError()
			}
			return list, nil
		}
	}
	return list, nil
}

// dictionary reads pairs up to the closing brace; a comma before it is allowed. Of two equal
// names the last counts.
func (p *parser) dictionary(depth int) (proto.Dictionary, error) {
	d := proto.Dictionary{}
	for !p.accept("}") {
		key, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		name, ok := key.(string)
		if !ok {
			return nil, errors.New("the names in a dictionary are texts")
		}
		if !p.accept(":") {
			return nil, p.syntaxError()
		}
		if d[name], err = p.value(depth + 1); err != nil {
			return nil, err
		}
		if !p.accept(",") {
			if !p.accept("}") {
				return nil, p.syntaxError()
			}
			return d, nil
		}
	}
	return d, nil
}

// arguments reads what stands between the brackets of a call.
func (p *parser) arguments(depth int) (a Arguments, err error) {
	a.Named = map[string]any{}
	for !p.accept(")") {
		p.space()
		ahead := *p
		name := ahead.word()
		if ahead.space(); name != "" && strings.HasPrefix(ahead.text, "=") && !strings.HasPrefix(ahead.text, "==") {
			p.text = ahead.text[1:]
		} else {
			name = ""
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return a, err
		}
		_, again := a.Named[name]
		switch {
		case again:
			return a, fmt.Errorf("%s is given twice", name)
		case name != "":
			a.Named[name] = v
		case len(a.Named) > 0:
			return a, errors.New("a value without a name stands behind one with a name")
		default:
			a.List = append(a.List, v)
		}
		if !p.accept(",") {
			if !p.accept(")") {
				return a, p.syntaxError()
			}
			return a, nil
		}
	}
	return a, nil
}
