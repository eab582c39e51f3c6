package flavor

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/text/nearest"
)

// The two ways in which a choice by need can fail.
var (
	ErrNone  = errors.New("no server flavor can meet your resource requirements")
	errRegex = errors.New("your flavor regular expression was not valid")
)

// Order is the order of a choice among flavor sets.
type Order string

// The orders.
const (
	// the best flavor first, then the best of the sets that it is not of
	Cheapest Order = "cheapest"
	Listed   Order = "listed" // a slot for each set
)

// Table is the flavors that a cloud has. It does not change; what it has found out about names it
// remembers. Its methods may be called at once from many goroutines.
type Table struct {
	flavors []Flavor // cheapest first

	mu      sync.Mutex
	matches map[string][]bool // by regular expression, in the order of flavors
}

// remembered is how many regular expressions a table remembers. A source has a handful.
const remembered = 256

// New makes a table of flavors in any order.
func New(flavors []Flavor) *Table {
	t := &Table{flavors: slices.Clone(flavors), matches: map[string][]bool{}}
	slices.SortStableFunc(t.flavors, Compare)
	return t
}

// All returns the flavors, cheapest first.
func (t *Table) All() []Flavor { return slices.Clone(t.flavors) }

// Cheapest returns the cheapest flavor that meets a need: of those that are large enough and whose
// names match, the one with the fewest cores, then the least memory, then the least disk. The error
// is ErrNone or ErrRegex.
func (t *Table) Cheapest(need Need) (Flavor, error) {
	match, err := t.match(need.Regex)
	if err != nil {
		return Flavor{}, err
	}
	for i, f := range t.flavors {
		if need.metBy(f) && match.has(i) {
			return f, nil
		}
	}
	return Flavor{}, t.none(need)
}

// Choose returns flavors that meet a need, to be tried one after the other when hardware is short.
// A set is a class of hardware: regular expressions, one of which the names of its flavors match; a
// flavor may be of several.
//
// With the order Listed there is one slot for each set, in the order given, with the cheapest of
// it, and the zero Flavor where a set has nothing that fits. With the order Cheapest (also "") the
// first is the cheapest of all; the first set not yet used that it is of is then left out, and so
// on, until nothing fits, the pick is of no set, or there are as many as sets. Without sets there
// is one slot with what Cheapest chooses; none with the order Cheapest if nothing fits. The only
// error is ErrRegex.
func (t *Table) Choose(need Need, sets [][]string, order Order) ([]Flavor, error) {
	if order != Cheapest && order != Listed && order != "" {
		return nil, &compute.Error{
			ID: compute.ID(order), Kind: compute.ErrInvalid, Err: errors.New("no order of flavors"),
			Hint: "say cheapest or listed",
		}
	}
	match, err := t.match(need.Regex)
	if err != nil {
		return nil, err
	}
	classes := make([]class, len(sets))
	for i, set := range sets {
		for _, pattern := range set {
			m, err := t.match(pattern)
			if err != nil {
				return nil, err
			}
			classes[i] = append(classes[i], m)
		}
	}
	fits := func(i int) bool { return match.has(i) && need.metBy(t.flavors[i]) }
	if order == Listed {
		return t.listed(fits, classes), nil
	}
	return t.cheapest(fits, classes), nil
}

func (t *Table) listed(fits func(int) bool, classes []class) []Flavor {
	out := make([]Flavor, max(1, len(classes)))
	for slot := range out {
		for i := range t.flavors {
			if fits(i) && (len(classes) == 0 || classes[slot].has(i)) {
				out[slot] = t.flavors[i]
				break
			}
		}
	}
	return out
}

func (t *Table) cheapest(fits func(int) bool, classes []class) (out []Flavor) {
	used := make([]bool, len(classes))
	next := 0 // a flavor that was passed over once is so for ever: what is left out stays so
	for len(out) < max(1, len(classes)) {
		for ; next < len(t.flavors); next++ {
			left := false
			for c := range classes {
				left = left || used[c] && classes[c].has(next)
			}
			if fits(next) && !left {
				break
			}
		}
		if next == len(t.flavors) {
			return out
		}
		out = append(out, t.flavors[next])
		c := slices.IndexFunc(classes, func(c class) bool { return c.has(next) })
		for c >= 0 && c < len(classes) && (used[c] || !classes[c].has(next)) {
			c++
		}
		if c < 0 || c == len(classes) {
			return out
		}
		used[c] = true
	}
	return out
}

// Get returns the flavor of exactly an id, else of exactly a name. The error, ErrNotFound, tells
// the name that is most like it.
func (t *Table) Get(idOrName string) (Flavor, error) {
	for _, is := range []func(Flavor) bool{
		func(f Flavor) bool { return f.ID == idOrName },
		func(f Flavor) bool { return f.Name == idOrName },
	} {
		if i := slices.IndexFunc(t.flavors, is); i >= 0 && idOrName != "" {
			return t.flavors[i], nil
		}
	}
	return Flavor{}, &compute.Error{
		ID: compute.ID(idOrName), Kind: compute.ErrNotFound,
		Err: errors.New("no server flavor with that id/name exists"), Hint: t.near(idOrName),
	}
}

func (t *Table) near(name string) string {
	if len(t.flavors) == 0 {
		return "there are no flavors"
	}
	var known []string
	for _, f := range t.flavors {
		known = append(known, f.Name)
	}
	if best := nearest.Meant(name, known); best != "" {
		return fmt.Sprintf("%s is the name most like it", best)
	}
	const some = 5
	text := "there are " + strings.Join(known[:min(some, len(known))], ", ")
	if more := len(known) - some; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// none says why nothing meets a need.
func (t *Table) none(need Need) error {
	why, hint := fmt.Errorf("%w: %s", ErrNone, need), "there are no flavors"
	if len(t.flavors) > 0 {
		hint = "ask for less; the largest flavor is " + t.flavors[len(t.flavors)-1].String()
		if need.Regex != "" {
			if f, err := t.Cheapest(Need{Cores: need.Cores, RAM: need.RAM, GPUs: need.GPUs}); err == nil {
				hint = fmt.Sprintf("%s would be large enough, but its name does not match", f.Name)
			}
		}
	}
	return &compute.Error{Kind: compute.ErrTooLarge, Err: why, Hint: hint}
}

// matching tells which flavors' names match; nil: all do.
type matching []bool

func (m matching) has(i int) bool { return m == nil || m[i] }

// class is a set of hardware: the flavors that one of its expressions matches.
type class []matching

func (c class) has(i int) bool {
	return slices.ContainsFunc(c, func(m matching) bool { return m.has(i) })
}

// match finds the flavors whose names match an expression.
func (t *Table) match(regex string) (matching, error) {
	if regex == "" {
		return nil, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if m, ok := t.matches[regex]; ok {
		return m, nil
	}
	re, err := regexp.Compile(regex)
	if err != nil {
		return nil, &compute.Error{
			Kind: compute.ErrInvalid, Err: fmt.Errorf("%w: %w", errRegex, err),
			Hint: "see https://pkg.go.dev/regexp/syntax for what may be written",
		}
	}
	m := make([]bool, len(t.flavors))
	for i, f := range t.flavors {
		m[i] = re.MatchString(f.Name)
	}
	if len(t.matches) >= remembered {
		clear(t.matches)
	}
	t.matches[regex] = m
	return m, nil
}
