package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/policy"
)

// RemoteRisks lists what a source would do on this machine that a remote caller may not have it do.
// secrets is the directory of files that it may refer to; "": none.
func (c *Config) RemoteRisks(s *Source, secrets string) (risks []Risk) {
	note := func(v Value, why string) {
		risks = append(risks, Risk{File: v.File, Line: v.Line, Source: s.Name, Why: why})
	}
	allowed := s.Kind.Remote
	if allowed == nil {
		v, set := s.Values["type"]
		if !set {
			v.File = s.File
		}
		note(v, fmt.Sprintf("type %s works on the controller's own machine, or with its own keys", s.Type))
	}
	if c.opt.shadowsBuiltIn(s) {
		note(Value{File: s.File}, "what is meant for the controller's own "+s.Name+" would go where it says")
	}
	for _, event := range Events {
		if dir := s.Hooks[event]; dir != "" {
			note(Value{File: dir}, "its programs run on the controller's machine at "+event)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.Values)) {
		v := s.Values[key]
		own, section := strings.CutPrefix(key, s.Type+".")
		has := func(k string) bool { return foldKey(k) == foldKey(own) }
		switch why := secretRisk(v.Text, secrets); {
		case why != "":
			note(v, v.Key+" "+why)
		case own == "image" && s.Kind.LocalImage != nil && s.Kind.LocalImage(v.Text):
			note(v, v.Key+" shows files of the controller's machine to what runs there")
		case key == "images" && slices.ContainsFunc(s.Limits.Images, policy.Local):
			note(v, v.Key+" lets requests choose files of the controller's machine")
		case section && allowed != nil && !slices.ContainsFunc(allowed, has):
			note(v, v.Key+" decides what runs, is read or is signed in to by the controller")
		}
	}
	return risks
}

// BundleRemoteRisks is RemoteRisks for a bundle. Its files and scripts only go to instances, but
// its variables may refer to secrets.
func (c *Config) BundleRemoteRisks(b *Bundle, secrets string) (risks []Risk) {
	for _, e := range b.Entries {
		if why := secretRisk(e.Text, secrets); why != "" {
			risks = append(risks, Risk{File: e.File, Line: e.Line, Why: e.Key + " " + why})
		}
	}
	return risks
}

// secretRisk returns what a value would have the controller read or run; "": nothing but files
// below secrets.
func secretRisk(text, secrets string) string {
	for _, one := range append(list(text), text) {
		kind, rest, ok := reference(one)
		switch {
		case !ok:
		case kind == "command":
			return "runs a program on the controller's machine"
		case kind != "file":
			return "reads a secret of the controller's user"
		case secrets == "":
			return "reads a file of the controller's machine, and [apply] secrets names no directory of such files"
		case !filepath.IsAbs(rest) || filepath.Clean(rest) != rest || rest == secrets || !within(secrets, rest):
			return "reads a file of the controller's machine that is not below " + secrets
		}
	}
	return ""
}

// Exposed returns the first value that looks like a secret and is not a reference. Such a value
// would be shown to everybody who reads what was applied.
func (s *Source) Exposed() (Value, bool) {
	for _, key := range slices.Sorted(maps.Keys(s.Values)) {
		if v := s.Values[key]; looksSecret(v) {
			return v, true
		}
	}
	return Value{}, false
}

// Exposed is the same for a bundle.
func (b *Bundle) Exposed() (Value, bool) {
	i := slices.IndexFunc(b.Entries, func(e bundleEntry) bool { return e.Section != "" && e.Text != "required" && looksSecret(e.Value) })
	if i < 0 {
		return Value{}, false
	}
	return b.Entries[i].Value, true
}

func looksSecret(v Value) bool { return Shown(v.Key, v.Text) != v.Text }

// shadowsBuiltIn reports whether a source has the name of a built-in one and is something else.
// Commands and their input would then go there unasked.
func (o *LoadOptions) shadowsBuiltIn(s *Source) bool {
	k, known := o.Kinds.Find(s.Name)
	return known && k.BuiltIn && (!k.Itself || s.Type != k.Name)
}
