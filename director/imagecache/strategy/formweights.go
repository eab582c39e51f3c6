package strategy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
)

// maxWeight keeps all products within 64 bits, for a million nodes and a million images.
const maxWeight = 1_000_000

// ParseWeights reads a JSON object of weights by image name. An object in it has the weights for
// the flavors of that name. An error names the wrong key.
func ParseWeights(data []byte) (w Weights, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	var all members
	if err := d.Decode(&all); err != nil {
		return w, notWeights(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return w, errors.New("something comes after the object")
	}
	for _, m := range all {
		name := m.name
		if !pattern(name) {
			return w, fmt.Errorf("%q: not a pattern of names", name)
		}
		v := bytes.TrimSpace(m.value)
		if len(v) == 0 || v[0] != '{' {
			n, err := weight(v)
			if err != nil {
				return w, fmt.Errorf("%q: %w", name, err)
			}
			if w.Images == nil {
				w.Images = map[string]int{}
			}
			w.Images[name] = n
			continue
		}
		var of members
		if err := json.Unmarshal(v, &of); err != nil {
			return w, fmt.Errorf("%q: %w", name, notWeights(err))
		}
		weights := map[string]int{}
		for _, m := range of {
			n, err := weight(bytes.TrimSpace(m.value))
			if err == nil && !pattern(m.name) {
				err = errors.New("not a pattern of names")
			}
			if err != nil {
				return w, fmt.Errorf("%q: %q: %w", name, m.name, err)
			}
			weights[m.name] = n
		}
		if w.Flavors == nil {
			w.Flavors = map[string]map[string]int{}
		}
		w.Flavors[name] = weights
	}
	return w, nil
}

// members are an object's members in order, so that a duplicate is seen.
type members []member

// member is one member of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

var errNoObject = errors.New("not an object of weights by name")

// UnmarshalJSON reads an object.
func (m *members) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errNoObject
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		next := member{name: t.(string)} // a key is always a string
		if err := d.Decode(&next.value); err != nil {
			return err
		}
		if seen[next.name] {
			return fmt.Errorf("%q is there twice", next.name)
		}
		seen[next.name] = true
		*m = append(*m, next)
	}
	return nil
}

// notWeights is the error for a text without weights.
func notWeights(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("byte %d: not JSON: %w", syntax.Offset, err)
	}
	return err
}

func weight(v json.RawMessage) (int, error) {
	n, err := strconv.Atoi(string(v))
	if err != nil || n < 0 || n > maxWeight {
		return 0, fmt.Errorf("%s: not a whole number from 0 to %d", short60(v), maxWeight)
	}
	return n, nil
}

// pattern reports whether a text is a name or a well-formed pattern. A name with an unclosed [ in
// it is still a name: it matches itself.
func pattern(s string) bool {
	_, err := path.Match(s, "")
	return s != "" && (err == nil || !bytes.ContainsAny([]byte(s), "*?"))
}
