package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/policy"
	"github.com/hostler-project/hostler/text/units"
)

// limitKeys say what requests may choose. A source has them at the top; a project may have them
// too, to narrow what the source allows.
var limitKeys = []string{"images", "flavors", "locations", "user-data", "max-cores", "max-memory", "max-disk", "max-gpus"}

// takeLimit sets one of limitKeys.
func takeLimit(l *policy.Limits, key, text string) (err error) {
	switch strings.ReplaceAll(key, "_", "-") {
	case "images":
		l.Images, err = patterns(text)
	case "flavors":
		l.Flavors, err = patterns(text)
	case "locations":
		l.Locations, err = patterns(text)
	case "user-data":
		var yes bool
		yes, err = parseBool(text)
		l.UserData = &yes
	case "max-cores":
		l.Most.Cores, err = positive(text, "a number of cores")
	case "max-memory":
		l.Most.Memory, err = someSize(text)
	case "max-disk":
		l.Most.Disk, err = someSize(text)
	case "max-gpus":
		n, bad := strconv.ParseUint(text, 10, 31)
		if l.Most.GPUs = int(min(n, math.MaxInt32)); bad != nil || n == 0 {
			err = fmt.Errorf("%q is not a whole number above 0", text)
		}
	}
	return err
}

// patterns reads patterns separated by commas, or `none`.
func patterns(text string) ([]string, error) {
	all := list(text)
	switch {
	case len(all) == 0:
		return nil, errors.New("names nothing; leave it out, or say none")
	case slices.Contains(all, "none"):
		if len(all) > 1 {
			return nil, errors.New("none stands alone")
		}
		return []string{}, nil
	}
	for _, p := range all {
		if policy.CheckPattern(p) != nil {
			return nil, fmt.Errorf("%q is not a pattern: * stands for anything but a slash, ? for one letter, [a-z] for one of these", p)
		}
	}
	return all, nil
}

func someSize(text string) (int64, error) {
	n, err := units.ParseSize(text)
	if err == nil && n <= 0 {
		err = fmt.Errorf("%q is not above 0; leave it out where nothing is to be said", text)
	}
	return n, err
}

// checkOwnLimits reports limits that are below what each instance has.
func (s *Source) checkOwnLimits(fail func(*Error)) {
	for _, l := range []struct {
		key  string
		most float64
		has  func(string) (float64, error)
	}{
		{"cores", s.Limits.Most.Cores, numbered}, {"memory", float64(s.Limits.Most.Memory), sized},
		{"disk", float64(s.Limits.Most.Disk), sized}, {"gpus", float64(s.Limits.Most.GPUs), numbered},
	} {
		said, ok := s.Values[s.Type+"."+l.key]
		has, err := l.has(said.Text)
		if !ok || err != nil || l.most <= 0 || l.most >= has {
			continue
		}
		at := s.Values["max_"+l.key]
		fail(&Error{File: at.File, Line: at.Line, Key: at.Key,
			Msg: fmt.Sprintf("%s is less than %s = %s of line %d, which each instance has", at.Text, said.Key, said.Text, said.Line)})
	}
}

func numbered(text string) (float64, error) { return strconv.ParseFloat(text, 64) }

func sized(text string) (float64, error) {
	n, err := units.ParseSize(text)
	return float64(n), err
}
