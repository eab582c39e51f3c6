package policy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// Check returns why a request may not have what it asks of a source, or nil. project holds the
// limits of its project. The error is ErrDenied if a key would have to allow it, and ErrTooLarge if
// it is more than the limit.
func Check(req compute.Request, s Source, project Limits) error {
	for _, f := range Fields {
		if f.check == nil {
			continue
		}
		if err := f.check(req, s, project); err != nil {
			return err
		}
	}
	return nil
}

// checker returns why a field of a request is refused, or nil.
type checker func(req compute.Request, s Source, project Limits) error

// checkNamed returns the checker of a field that names what a computer is made of. The owner may
// name anything. keys returns the patterns of a source or project.
func checkNamed(key string, value func(compute.Request) string, keys func(Limits) []string, match func(pattern, name string) bool) checker {
	what := strings.TrimSuffix(key, "s")
	return func(req compute.Request, s Source, project Limits) error {
		name := value(req)
		if name == "" || req.Own {
			return nil
		}
		if keys(s.Limits) == nil {
			return denied(
				s, fmt.Errorf("requests may choose no %s", what),
				fmt.Sprintf("`%s = PATTERN, ...` in its source.conf says which they may choose", key),
			)
		}
		if !allowed(keys(s.Limits), name, match) {
			return denied(s, fmt.Errorf("requests may not choose the %s %q", what, name), allowedNames(keys(s.Limits)))
		}
		if narrow := keys(project); narrow != nil && !allowed(narrow, name, match) {
			return denied(s, fmt.Errorf("requests of the project may not choose the %s %q", what, name), allowedNames(narrow))
		}
		return nil
	}
}

// allowed reports whether one of the patterns allows a name.
func allowed(patterns []string, name string, match func(pattern, name string) bool) bool {
	for _, p := range patterns {
		if p == anything || match(p, name) {
			return true
		}
	}
	return false
}

// allowedNames says in words what may be chosen.
func allowedNames(patterns []string) string {
	if len(patterns) == 0 {
		return "they may choose none"
	}
	return "they may choose " + strings.Join(patterns, ", ")
}

// userData checks the data for a computer's first boot, which the computer executes.
func userData(req compute.Request, s Source, project Limits) error {
	if len(req.UserData) == 0 || req.Own {
		return nil
	}
	if s.UserData == nil || !*s.UserData {
		return denied(s, errors.New("requests may bring no user data"), "`user-data = yes` in its source.conf lets them")
	}
	if project.UserData != nil && !*project.UserData {
		return denied(s, errors.New("requests of the project may bring no user data"), "`user-data` in its project.conf says so")
	}
	return nil
}

// checkAmount returns the checker of one part of the size. of is its name after a number.
func checkAmount(what, of string, part func(compute.Resources) float64, say func(float64) string) checker {
	key := "max-" + what
	return func(req compute.Request, s Source, project Limits) error {
		asked := part(compute.Resources{Cores: max(0, req.Cores), Memory: req.Memory, Disk: req.Disk, GPUs: req.GPUs})
		if asked <= 0 {
			return nil
		}
		if what == "gpus" && s.NoGPUs {
			return tooLarge(s, errors.New("its computers have no GPUs"), "ask another source")
		}
		most, has := part(s.Most), part(s.Has)
		switch {
		case most > 0 && asked > most:
			return tooLarge(
				s, fmt.Errorf("%s%s asked for, and its %s is %s", say(asked), of, key, say(most)),
				"ask for less, or raise `"+key+"` in its source.conf",
			)
		case most > 0 || has > 0 && asked <= has:
		case has > 0 && (s.Binds || !req.Own):
			return tooLarge(
				s, fmt.Errorf("%s%s asked for, and its %s is %s", say(asked), of, what, say(has)),
				"`"+key+"` in its source.conf lets requests ask for more",
			)
		case s.Grows && !req.Own:
			return denied(
				s, fmt.Errorf("%s%s asked for, and requests may not choose that", say(asked), of),
				"`"+key+"` in its source.conf lets them, up to what it says",
			)
		}
		if narrow := part(project.Most); narrow > 0 && asked > narrow && !req.Own {
			return tooLarge(s, fmt.Errorf("%s%s asked for, and the project's %s is %s", say(asked), of, key, say(narrow)), "ask for less")
		}
		return nil
	}
}

// How many instances one request may ask for or name. Each request is one transaction, and other
// requests wait for it.
const (
	mostOfOthers = 1000
	mostOfOwner  = 100_000
)

// checkCount checks the count of a request.
func checkCount(req compute.Request, s Source, _ Limits) error {
	most := mostOfOthers
	if req.Own {
		most = mostOfOwner
	}
	if req.Count > most {
		return tooLarge(s, fmt.Errorf("%d asked for, and one request may ask for %d", req.Count, most), "ask several times")
	}
	return nil
}

// Names returns why a request may not name n leases or instances, or nil: all are released or held
// in one transaction. own: the owner asks.
func Names(own bool, n int) error {
	most := mostOfOthers
	if own {
		most = mostOfOwner
	}
	if n <= most {
		return nil
	}
	return &compute.Error{
		Kind: compute.ErrTooLarge, Err: fmt.Errorf("%d names, and one request may have %d", n, most),
		Hint: "ask several times",
	}
}

func denied(s Source, err error, hint string) error {
	return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrDenied, Err: err, Hint: hint}
}

func tooLarge(s Source, err error, hint string) error {
	return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrTooLarge, Err: err, Hint: hint}
}

func count(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// exactSize writes a size in the largest unit that divides it.
func exactSize(n float64) string {
	units, left := "", int64(n)
	for _, u := range []string{"K", "M", "G", "T"} {
		if left == 0 || left%1024 != 0 {
			break
		}
		left, units = left/1024, u
	}
	return strconv.FormatInt(left, 10) + units
}
