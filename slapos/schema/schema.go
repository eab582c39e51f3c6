package schema

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// The limits of a check.
const (
	maxDepth     = 256     // of schemas within schemas
	maxSteps     = 1 << 20 // schemas that are looked at
	maxDocuments = 100     // that are loaded
	maxFaults    = 20      // that are told
)

// A Fault is what a value is not that the schema wants.
type Fault struct {
	At     string // JSON pointer into the value; "" is all of it
	Reason string
}

func (f Fault) String() string {
	if f.At == "" {
		return f.Reason
	}
	return f.At + ": " + f.Reason
}

// A Checker checks values. It keeps the documents that it has loaded, and is for one goroutine.
type Checker struct {
	// Load gives the document at a URL, which has no fragment: as encoding/json decodes it, with
	// numbers as float64 or json.Number.
	Load func(ctx context.Context, url string) (any, error)

	documents map[string]*document
}

// document is a schema with those within it that have URLs of their own.
type document struct {
	root any
	at   map[string]place // by what they are called
}

// place is a schema with its base URL.
type place struct {
	schema any
	base   string
}

// Check checks a value, decoded as by [Checker.Load], by the schema at a URL, and returns the first
// 20 faults. The error is the schema's: it cannot be loaded, or is malformed.
func (c *Checker) Check(ctx context.Context, at string, value any) ([]Fault, error) {
	w := &walk{c: c, ctx: ctx}
	p, err := w.resolve("", at)
	if err != nil {
		return nil, err
	}
	got := w.check(p, value, "", 0)
	if w.err != nil {
		return nil, w.err
	}
	return got.faults[:min(len(got.faults), maxFaults)], nil
}

// walk is a check under way.
type walk struct {
	c     *Checker
	ctx   context.Context
	steps int
	err   error // of the schema; the check has ended

	patterns map[string]*regexp.Regexp // that were compiled; nil: it cannot be
}

func (w *walk) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// resolve finds the schema that a reference names, where the URL base counts.
func (w *walk) resolve(base, reference string) (place, error) {
	full, err := join(base, reference)
	if err != nil {
		return place{}, err
	}
	at, fragment, _ := strings.Cut(full, "#")
	d, err := w.document(at)
	if err != nil {
		return place{}, err
	}
	if unescaped, err := url.PathUnescape(fragment); err == nil {
		fragment = unescaped
	}
	if fragment == "" {
		if p, ok := d.at[at]; ok {
			return p, nil
		}
		return place{d.root, at}, nil
	}
	if p, ok := d.at[at+"#"+fragment]; ok {
		return p, nil
	}
	start := place{d.root, at}
	if p, ok := d.at[at]; ok {
		start = p
	}
	p, ok := point(start, fragment)
	if !ok {
		return place{}, fmt.Errorf("%s: there is no schema #%s in it", at, fragment)
	}
	return p, nil
}

// join is a reference as a URL, where base counts.
func join(base, reference string) (string, error) {
	r, err := url.Parse(reference)
	if err != nil {
		return "", fmt.Errorf("%.200q is no reference to a schema", reference)
	}
	if base == "" {
		return r.String(), nil
	}
	b, err := url.Parse(base)
	if err != nil {
		return "", fmt.Errorf("%.200q is no URL of a schema", base)
	}
	if b.Opaque != "" && strings.HasPrefix(reference, "#") { // urn:…
		b.Fragment = r.Fragment
		return b.String(), nil
	}
	return b.ResolveReference(r).String(), nil
}

// document loads a document, once; a part of one that was loaded may have that URL.
func (w *walk) document(at string) (*document, error) {
	if d := w.c.documents[at]; d != nil {
		return d, nil
	}
	if w.c.documents == nil {
		w.c.documents = map[string]*document{}
	}
	for _, d := range w.c.documents {
		if _, ok := d.at[at]; ok {
			return d, nil
		}
	}
	if len(w.c.documents) >= maxDocuments {
		return nil, fmt.Errorf("the schema is spread over more than %d documents", maxDocuments)
	}
	root, err := w.c.Load(w.ctx, at)
	if err != nil {
		return nil, err
	}
	d := &document{root: root, at: map[string]place{}}
	d.name(root, at, 0)
	w.c.documents[at] = d
	return d, nil
}

// name notes what the schemas within one call themselves.
func (d *document) name(schema any, base string, depth int) {
	if depth > maxDepth {
		return
	}
	switch s := schema.(type) {
	case map[string]any:
		for _, key := range []string{"$id", "id"} {
			id, ok := s[key].(string)
			if !ok {
				continue
			}
			if full, err := join(base, id); err == nil {
				if at, fragment, _ := strings.Cut(full, "#"); fragment == "" {
					base = at
					d.at[at] = place{s, at}
				} else {
					d.at[full] = place{s, base}
				}
			}
			break
		}
		for _, key := range []string{"$anchor", "$dynamicAnchor"} {
			if anchor, ok := s[key].(string); ok {
				d.at[base+"#"+anchor] = place{s, base}
			}
		}
		for key, inner := range s {
			if key != "enum" && key != "const" && key != "default" && key != "examples" {
				d.name(inner, base, depth+1)
			}
		}
	case []any:
		for _, inner := range s {
			d.name(inner, base, depth+1)
		}
	}
}

// point follows a JSON pointer.
func point(p place, pointer string) (place, bool) {
	rest, ok := strings.CutPrefix(pointer, "/")
	if !ok {
		return place{}, false
	}
	for part := range strings.SplitSeq(rest, "/") {
		part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		switch s := p.schema.(type) {
		case map[string]any:
			if p.schema, ok = s[part]; !ok {
				return place{}, false
			}
		case []any:
			i, ok := index(part, len(s))
			if !ok {
				return place{}, false
			}
			p.schema = s[i]
		default:
			return place{}, false
		}
		if inner, ok := p.schema.(map[string]any); ok {
			for _, key := range []string{"$id", "id"} {
				if id, ok := inner[key].(string); ok {
					if full, err := join(p.base, id); err == nil {
						p.base, _, _ = strings.Cut(full, "#")
					}
					break
				}
			}
		}
	}
	return p, true
}

// index reads an index below n in decimal digits.
func index(text string, n int) (int, bool) {
	i := 0
	for _, r := range text {
		if r < '0' || r > '9' || i > n {
			return 0, false
		}
		i = i*10 + int(r-'0')
	}
	return i, text != "" && i < n
}

var errSteps = errors.New("the schema leads to too many others, or to itself")
