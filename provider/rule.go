package provider

import (
	"slices"
	"strconv"

	"github.com/hostler-project/hostler/text/units"
)

// Rule says whether a tree of somebody else's may set a key of a source without the user's
// approval, and why.
type Rule struct {
	// Key is one at the top or in the kind's section; "*": all keys, and the kind itself.
	Key  string
	Free bool   // a tree may set it unasked; else it waits for approval
	Why  string // why it is safe, or what it does
	// Values are those that are free, in words; "": all
	Values string
	// Allows reports which values are free; nil: all
	Allows func(value string) bool
	// Inert keys may change below an approval of other keys.
	Inert bool
}

// Waits has each of the keys wait for approval.
func Waits(why string, keys ...string) (out []Rule) {
	for _, key := range keys {
		out = append(out, Rule{Key: key, Why: why})
	}
	return out
}

// Free has each of the keys be free, and change below an approval.
func Free(why string, keys ...string) (out []Rule) {
	for _, key := range keys {
		out = append(out, Rule{Key: key, Free: true, Inert: true, Why: why})
	}
	return out
}

// mostReady is how many computers a tree may have kept ready unasked.
const mostReady = 4

// FewReady are the rules of the keys by which instances are made before anybody asks, for kinds
// whose instances cost little.
func FewReady() []Rule {
	r := Rule{
		Free: true, Inert: true, Values: "up to " + strconv.Itoa(mostReady), Allows: UpTo(mostReady),
		Why: "keeps few computers ready",
	}
	reserve, spare := r, r
	reserve.Key, spare.Key = "reserve", "spare"
	return []Rule{reserve, spare}
}

// AnyOf allows some words.
func AnyOf(words ...string) func(string) bool {
	return func(value string) bool { return slices.Contains(words, value) }
}

// UpTo allows whole numbers from 0.
func UpTo(most int) func(string) bool {
	return func(value string) bool {
		n, err := strconv.Atoi(value)
		return err == nil && n >= 0 && n <= most
	}
}

// SizeUpTo allows numbers of bytes.
func SizeUpTo(most int64) func(string) bool {
	return func(value string) bool {
		n, err := units.ParseSize(value)
		return err == nil && n >= 0 && n <= most
	}
}

// LeadsTo says the same of all sources of a kind.
func LeadsTo(where string) func(map[string]string) string {
	return func(map[string]string) string { return where }
}
