package provider

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hostler-project/hostler/compute"
)

// Named is something that a provider has and a user chooses: an image, a flavor, a location.
type Named struct {
	ID   string
	Name string
}

// ChooseImage returns the index of the image that a user means by want, in this order:
//
//   - the one of that id;
//   - the last one of exactly that name;
//   - of those whose names begin with want, the one with the largest numbers in its name, compared
//     from left to right; names without a number do not count.
//
// ErrNotFound lists what there is.
func ChooseImage(images []Named, want string) (int, error) {
	if i := slices.IndexFunc(images, func(n Named) bool { return n.ID == want && want != "" }); i >= 0 {
		return i, nil
	}
	best, like := -1, 0
	var most []string
	for i, image := range images {
		if image.Name == want {
			best, most = i, nil
		}
	}
	if best >= 0 {
		return best, nil
	}
	for i, image := range images {
		if !strings.HasPrefix(image.Name, want) {
			continue
		}
		like++
		if n := numbers(image.Name); len(n) > 0 && (best < 0 || slices.CompareFunc(n, most, compareNumbers) >= 0) {
			best, most = i, n
		}
	}
	if best >= 0 {
		return best, nil
	}
	why := "no image of this name"
	if like > 0 {
		why = fmt.Sprintf("%d images begin with it, and none has a number by which it would be the newest", like)
	}
	return -1, &compute.Error{ID: compute.ID(want), Kind: compute.ErrNotFound, Err: errors.New(why), Hint: near("images", images, want)}
}

// Choose returns the index of the thing that a user means by want: by its id, by its name, or by a
// beginning of its name. The name or beginning must be of one thing alone. what is the noun for
// such things, in the plural. Errors, ErrNotFound and ErrConflict, list what there is.
func Choose(things []Named, what, want string) (int, error) {
	if i := slices.IndexFunc(things, func(n Named) bool { return n.ID == want && want != "" }); i >= 0 {
		return i, nil
	}
	for _, fits := range []func(Named) bool{
		func(n Named) bool { return n.Name == want },
		func(n Named) bool { return want != "" && strings.HasPrefix(n.Name, want) },
	} {
		var found []int
		for i, n := range things {
			if fits(n) {
				found = append(found, i)
			}
		}
		if len(found) == 1 {
			return found[0], nil
		}
		if len(found) > 1 {
			var names []string
			for _, i := range found {
				names = append(names, things[i].String())
			}
			return -1, &compute.Error{
				ID: compute.ID(want), Kind: compute.ErrConflict, Err: fmt.Errorf("%d %s could be meant", len(found), what),
				Hint: "say which: " + strings.Join(names, ", "),
			}
		}
	}
	return -1, &compute.Error{ID: compute.ID(want), Kind: compute.ErrNotFound, Err: fmt.Errorf("none of the %s",
		what), Hint: near(what, things, want)}
}

// String returns the id, with the name where that is another.
func (n Named) String() string {
	if n.Name == n.ID || n.Name == "" {
		return n.ID
	}
	if n.ID == "" {
		return n.Name
	}
	return n.ID + " (" + n.Name + ")"
}

// named is how many names an error offers.
const named = 5

// near lists what is most like a name: what shares the longest beginning with it first.
func near(what string, things []Named, want string) string {
	if len(things) == 0 {
		return "there are no " + what
	}
	shared := func(n Named) int {
		a, b := strings.ToLower(n.Name), strings.ToLower(want)
		i := 0
		for i < len(a) && i < len(b) && a[i] == b[i] {
			i++
		}
		return i
	}
	some := slices.Clone(things)
	slices.SortStableFunc(some, func(a, b Named) int { return cmp.Compare(shared(b), shared(a)) })
	var names []string
	for _, n := range some[:min(named, len(some))] {
		s := n.String()
		if !utf8.ValidString(s) {
			s = fmt.Sprintf("%q", s)
		}
		names = append(names, s)
	}
	text := "there are " + strings.Join(names, ", ")
	if more := len(some) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// numbers are the runs of digits in a text, without zeros in front.
func numbers(s string) (out []string) {
	for _, n := range strings.FieldsFunc(s, func(c rune) bool { return c < '0' || c > '9' }) {
		out = append(out, strings.TrimLeft(n, "0"))
	}
	return out
}

// compareNumbers orders numbers of any length.
func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}
