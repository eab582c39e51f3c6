package catalog

import (
	"slices"
	"strconv"

	"github.com/hostler-project/hostler/text/units"
)

// Rule says whether somebody else's tree may set a key of a source without the user's approval, and
// why.
type Rule struct {
	// Key is a key at the top or in the kind's section. "*" stands for all keys and the kind
	// itself.
	Key  string
	Free bool   // a tree may set it without approval
	Why  string // why it is safe, or what the key does
	// Values are the free values, in words. "": all are free.
	Values string
	// Allows reports whether a value is free. nil: all are free.
	Allows func(value string) bool
	// Inert says that the key may change under an approval of other keys.
	Inert bool
}

// Waits returns a rule for each of the keys: it waits for approval.
func Waits(why string, keys ...string) (out []Rule) {
	for _, key := range keys {
		out = append(out, Rule{Key: key, Why: why})
	}
	return out
}

// Free returns a rule for each of the keys: it is free, and it may change under an approval.
func Free(why string, keys ...string) (out []Rule) {
	for _, key := range keys {
		out = append(out, Rule{Key: key, Free: true, Inert: true, Why: why})
	}
	return out
}

// mostReady is how many computers a tree may keep ready without approval.
const mostReady = 4

// FewReady returns the rules of the keys that make instances before a request comes. They are for
// kinds whose instances cost little.
func FewReady() []Rule {
	r := Rule{
		Free: true, Inert: true, Values: "up to " + strconv.Itoa(mostReady), Allows: UpTo(mostReady),
		Why: "keeps few computers ready",
	}
	reserve, spare := r, r
	reserve.Key, spare.Key = "reserve", "spare"
	return []Rule{reserve, spare}
}

// AnyOf allows the given words.
func AnyOf(words ...string) func(string) bool {
	return func(value string) bool { return slices.Contains(words, value) }
}

// UpTo allows whole numbers from 0 to most.
func UpTo(most int) func(string) bool {
	return func(value string) bool {
		n, err := strconv.Atoi(value)
		return err == nil && n >= 0 && n <= most
	}
}

// SizeUpTo allows sizes in bytes up to most.
func SizeUpTo(most int64) func(string) bool {
	return func(value string) bool {
		n, err := units.ParseSize(value)
		return err == nil && n >= 0 && n <= most
	}
}

// LeadsTo returns a function for Kind.LeadsTo that says the same of all sources.
func LeadsTo(where string) func(map[string]string) string {
	return func(map[string]string) string { return where }
}
