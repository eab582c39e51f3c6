package config

import (
	"slices"

	"github.com/hostler-project/hostler/provider/catalog"
)

// Decision is a rule on a key of sources of a type; "*": of any type.
type Decision struct {
	Type string
	catalog.Rule
}

// commonRules say what a tree may set without approval in a source of any kind. A key that neither
// they nor the kind's own rules allow waits for approval. docs/trust.md shows all rules.
var commonRules = append([]catalog.Rule{
	{Key: "ttl", Free: true, Inert: true, Why: "ends leases"},
	{Key: "max-ttl", Free: true, Inert: true, Why: "ends leases"},
	{Key: "lease-idle", Free: true, Inert: true, Why: "ends leases"},
	{Key: "idle", Free: true, Inert: true, Why: "discards computers that nobody uses"},
	{Key: "max-age", Free: true, Inert: true, Why: "discards computers"},
	{Key: "max-uses", Free: true, Inert: true, Why: "discards computers"},
	{Key: "maximum", Free: true, Inert: true, Why: "is a limit"},
	{Key: "concurrency", Free: true, Inert: true, Why: "is a limit"},
	{Key: "parallel", Free: true, Inert: true, Why: "is a limit"},
	{Key: "budget", Free: true, Inert: true, Why: "is a limit"},
	{Key: "price", Free: true, Inert: true, Why: "is a number that is shown and counted"},
	{Key: "dry-run", Free: true, Inert: true, Why: "has a controller do nothing"},
	{Key: "share", Free: true, Inert: true, Why: "puts your own leases side by side"},
	{Key: "reuse", Free: true, Inert: true, Why: "says how a computer is given to you again"},
	{Key: "on-failure", Free: true, Inert: true, Why: "says what becomes of a computer that failed"},
	{Key: "auto-confirm-dead", Free: true, Inert: true, Why: "says what becomes of a computer that failed"},
	{Key: "hook-timeout", Free: true, Inert: true, Why: "ends hooks, which themselves wait for approval"},
	{Key: "bundles", Why: "puts files, some of them yours, on the computers"},
	{Key: "build", Why: "makes images of your bundles"},
	{Key: "flavor", Why: "chooses what computers cost"},
	{Key: "strategy", Why: "has a controller make computers ahead of need"},
	{Key: "hit-rate", Why: "has a controller make computers ahead of need"},
	{Key: "window", Why: "has a controller make computers ahead of need"},
	{Key: "cold", Why: "has a controller keep stopped computers"},
	{Key: "projects", Why: "says whose the source is at a controller"},
}, catalog.Waits("says what requests may choose", "images", "flavors", "locations", "user-data", "max-cores", "max-memory",
	"max-disk", "max-gpus")...)

// Decisions returns the table of what a tree may set in a source.
func Decisions(kinds catalog.Table) (out []Decision) {
	for _, r := range commonRules {
		out = append(out, Decision{"*", r})
	}
	for _, k := range kinds {
		for _, r := range k.Tree {
			out = append(out, Decision{k.Name, r})
		}
	}
	return out
}

// RuleOn returns the rule on a key of a kind: one for the key, else one for all keys of the kind,
// else one for any kind.
func RuleOn(k *catalog.Kind, key string) (catalog.Rule, bool) {
	for _, at := range []struct {
		rules []catalog.Rule
		key   string
	}{{k.Tree, key}, {k.Tree, "*"}, {commonRules, key}} {
		same := func(r catalog.Rule) bool { return foldKey(r.Key) == foldKey(at.key) }
		if i := slices.IndexFunc(at.rules, same); i >= 0 {
			return at.rules[i], true
		}
	}
	return catalog.Rule{}, false
}

// TopKeys returns the keys that may be at the top of a source of a kind.
func TopKeys(k *catalog.Kind) []string { return slices.Concat(commonKeys, k.TopKeys) }

// freeKind reports whether a tree may have sources of a kind without approval. It may if one of the
// kind's own keys is free.
func freeKind(k *catalog.Kind) bool {
	return slices.ContainsFunc(k.Tree, func(r catalog.Rule) bool { return r.Free })
}

// mayWithoutApproval reports whether a tree may set a key to a value without approval.
func mayWithoutApproval(r catalog.Rule, value string) bool {
	_, refers := referred(value)
	return r.Free && !refers && (r.Allows == nil || r.Allows(value))
}

// invalidatesApproval reports whether another value of a key makes an approval of the source
// invalid.
func invalidatesApproval(k *catalog.Kind, key, value string) bool {
	if _, refers := referred(value); refers || k.Costs {
		return true
	}
	if r, ok := RuleOn(k, key); ok && r.Key != "*" {
		return !r.Inert || !mayWithoutApproval(r, value)
	}
	same := func(r catalog.Rule) bool { return foldKey(r.Key) == foldKey(key) }
	i := slices.IndexFunc(commonRules, same)
	return i < 0 || !commonRules[i].Inert
}
