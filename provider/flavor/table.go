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

// The two errors of a choice by need.
var (
	ErrNone  = errors.New("no server flavor can meet your resource requirements")
	errRegex = errors.New("your flavor regular expression was not valid")
)

// Order is the order in which Choose takes flavors from sets.
type Order string

// The orders.
const (
	// the best flavor first, then the best of the remaining sets
	Cheapest Order = "cheapest"
	Listed   Order = "listed" // one slot for each set
)

// Table holds the flavors of a cloud. The flavors do not change; matches of regular expressions are
// cached. Any number of goroutines may use it.
type Table struct {
	flavors []Flavor // cheapest first

	mu      sync.Mutex
	matches map[string][]bool // by regular expression, in the order of flavors
}

// remembered is how many regular expressions a table caches. A source has a handful.
const remembered = 256

// New makes a table of flavors, which may be in any order.
func New(flavors []Flavor) *Table {
	t := &Table{flavors: slices.Clone(flavors), matches: map[string][]bool{}}
	slices.SortStableFunc(t.flavors, Compare)
	return t
}

// All returns the flavors, cheapest first.
func (t *Table) All() []Flavor { return slices.Clone(t.flavors) }

// Cheapest returns the cheapest flavor that meets a need, by the order of Compare. Its errors are
// ErrNone and ErrRegex.
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

// Choose returns flavors that meet a need, in the order to try them when hardware is short. A set
// is a class of hardware, given by regular expressions. A flavor is of the set if one of them
// matches its name, so it may be of several sets.
//
// With the order Listed the result has one slot for each set, in the given order. The slot has the
// cheapest flavor of the set, or the zero Flavor if none fits.
//
// With the order Cheapest (also "") the first is the cheapest of all. The first unused set that has
// it is then left out, and the choice repeats. It ends when nothing fits, when the pick is of no
// set, or when there are as many flavors as sets.
//
// Without sets the result is one slot with what Cheapest chooses. With the order Cheapest it is
// empty if nothing fits. The only error is ErrRegex.
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

// listed fills one slot for each class with the first flavor of the table that fits. Without
// classes there is one slot.
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

// cheapest makes the choice of Choose for the order Cheapest. fits tells by index whether a flavor
// meets the need.
func (t *Table) cheapest(fits func(int) bool, classes []class) (out []Flavor) {
	used := make([]bool, len(classes))
	next := 0 // the flavors are scanned once: what is left out stays out
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

// Get returns the flavor with exactly this id, else the one with exactly this name. Its error is
// ErrNotFound and suggests the most similar name.
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

// near returns the name that is most similar to a mistyped one, or "".
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

// none returns the error that says why no flavor meets a need.
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

// matching tells by index which flavors' names match. nil: all match.
type matching []bool

func (m matching) has(i int) bool { return m == nil || m[i] }

// class is a set of hardware: the matches of each of its expressions.
type class []matching

func (c class) has(i int) bool {
	return slices.ContainsFunc(c, func(m matching) bool { return m.has(i) })
}

// match finds the flavors whose names match an expression. It caches the result.
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
