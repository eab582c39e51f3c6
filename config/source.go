package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/hostler-project/hostler/policy"
	"github.com/hostler-project/hostler/provider/catalog"

	"github.com/hostler-project/hostler/text/nearest"
)

// Source is a configured way to get computers.
type Source struct {
	Name string
	Type string
	Kind *catalog.Kind // the kind of Type; not nil if Load made the source
	Root string        // the root's path; "": it exists without configuration
	File string        // its source.conf, or what replaces it; "": none
	Dir  string        // its directory; "": none
	Tree bool          // its root came with a tree

	Applied bool // it was applied, and is in no file of the user's

	Reserve     int
	Spare       int
	Maximum     int // 0: no limit
	Concurrency int // 0: no limit
	Parallel    int // computers that a process makes at a time; 0: no limit
	MaxUses     int // 0: no limit
	Share       bool
	Reuse       string // "clean", "as-is", "rebuild", "no"; "": the type's default
	OnFailure   string // "discard" or "hold"

	// when a held instance that failed is discarded; negative: never; nil: not set
	ConfirmDead *time.Duration

	// Durations are nil when not set. "none" is negative and means no limit.
	TTL, MaxTTL, LeaseIdle, Idle, MaxAge, HookTimeout *time.Duration

	Image   string
	Flavor  string
	Bundles []string
	// make instances from an image with the bundles on it, which is built if it is missing
	Build    bool
	Sources  []string // of a pool: its children, in order of preference
	Projects []string // limited to these projects; none: for all

	Direction // how a controller keeps it filled

	Limits policy.Limits // what requests may choose

	// the type's own section, and ssh's ssh_host and hosts; in keys "-" is "_"
	Settings map[string]string
	// all keys with their places, "-" as "_"; those of a section as SECTION.KEY
	Values map[string]Value
	// the existing hook directories, by event, see Events
	Hooks map[string]string

	// 16 hexadecimal digits over what determines how computers are made, without the source's name
	Digest   string
	Shadowed []string // files with the same name that do not count
	Err      error    // why it cannot be used, several *Errors joined; nil: it can
}

// Events are the events that a source may have hooks for, in directories EVENT.d beside its
// source.conf.
var Events = []string{"provision", "discard", "acquire", "release", "check"}

// commonKeys are the keys that every source may have, in the order of the documentation.
var commonKeys = []string{
	"type", "reserve", "spare", "maximum", "concurrency", "parallel", "share", "reuse", "ttl", "max-ttl", "lease-idle",
	"idle", "max-age", "max-uses",
	"image", "flavor", "bundles", "build", "on-failure", "auto-confirm-dead", "hook-timeout", "strategy", "hit-rate",
	"window", "cold", "price", "budget", "dry-run", "projects",
	// limitKeys
	"images", "flavors", "locations", "user-data", "max-cores", "max-memory", "max-disk", "max-gpus",
}

// implicitSource returns a source that exists without configuration; its type is its name.
func (o *LoadOptions) implicitSource(name string) *Source {
	s := &Source{
		Name: name, Type: name, Kind: o.Kinds.Kind(name), OnFailure: "discard", Settings: map[string]string{}, Values: map[string]Value{},
		Hooks: map[string]string{},
	}
	s.Digest = s.digest()
	return s
}

func sourceFile(r *Root, name string) string {
	return filepath.Join(r.Path, "sources", name, "source.conf")
}

// Place identifies a source's root among sources of the same name: its path, or AppliedKind, as
// each machine shows applied things in a directory of its own.
func (s *Source) Place() string {
	if s.Applied {
		return AppliedKind
	}
	return s.Root
}

// Position returns the place of a key of Settings.
func (s *Source) Position(key string) (file string, line int) {
	for _, k := range []string{s.Type + "." + foldKey(key), foldKey(key)} {
		if v, ok := s.Values[k]; ok {
			return v.File, v.Line
		}
	}
	return s.File, 0
}

// Decode fills a provider's Options from Settings; see the function Decode.
func (s *Source) Decode(out any) error {
	var wrong errorList
	all := decode(s.Settings, s.Position, out)
	slices.SortStableFunc(all, func(a, b *Error) int { return a.Line - b.Line })
	for _, e := range all {
		e.Source = s.Name
		wrong.add(e)
	}
	return wrong.err()
}

// readSource reads one entry of a root's sources. It returns warnings beside the source.
func readSource(r *Root, p *rootDir, name string, opt *LoadOptions) (*Source, []error) {
	rel := filepath.Join("sources", name)
	s := &Source{
		Name: name, Root: r.Path, Tree: r.Tree, Applied: r.Kind == AppliedKind, Dir: filepath.Join(r.Path, rel), File: sourceFile(r, name),
		Kind: opt.Kinds.Kind(""), OnFailure: "discard", Settings: map[string]string{}, Values: map[string]Value{},
		Hooks: map[string]string{},
	}
	var warnings []error
	lenient := opt.Compat || opt.Lenient
	var wrong errorList
	fail := func(e *Error) {
		e.Source = name
		wrong.add(e)
		s.Err = wrong.err()
	}
	if strings.HasPrefix(name, "-") || strings.ContainsFunc(name, func(c rune) bool {
		return unicode.IsSpace(c) || !unicode.IsPrint(c) || strings.ContainsRune(":,", c)
	}) {
		fail(&Error{File: s.Dir, Msg: fmt.Sprintf("%q cannot be a source's name", name)})
		return s, nil
	}
	data, err := p.read(filepath.Join(rel, "source.conf"), maxFile)
	if err != nil {
		if errors.Is(err, syscall.ENOTDIR) {
			s.File, err = s.Dir, errors.New("is not a directory with a source.conf")
		} else if errors.Is(err, fs.ErrNotExist) {
			s.File, err = s.Dir, errors.New("there is no source.conf in it")
		}
		fail(&Error{File: s.File, Err: withoutPath(err)})
		return s, nil
	}
	entries, err := parse(s.File, data, r.crcache(), lenient)
	if err != nil {
		e, _ := errors.AsType[*Error](err)
		fail(e)
		return s, nil
	}
	for _, e := range entries {
		if e.section == "" && e.Key == "type" {
			s.Type = e.Text
		}
	}
	switch {
	case s.Type == "" && slices.Contains(opt.implicit(), name):
		s.Type = name
	case s.Type == "":
		fail(&Error{File: s.File, Key: "type", Msg: "is required"})
		return s, nil
	case r.crcache():
		for _, k := range opt.Kinds {
			if k.Formerly == s.Type {
				s.Type = k.Name
			}
		}
	}
	s.Kind = opt.Kinds.Kind(s.Type)
	for _, e := range entries {
		unknown, err := s.setKey(e, opt)
		switch {
		case unknown && lenient:
			warnings = append(warnings, err)
		case err != nil:
			fail(err)
		}
	}
	s.require(fail)
	s.checkOwnLimits(fail)
	for _, event := range Events {
		dir := filepath.Join(rel, event+".d")
		info, err := p.stat(dir)
		switch {
		case err == nil && info.IsDir():
			s.Hooks[event] = filepath.Join(r.Path, dir)
		case err == nil:
			fail(&Error{File: filepath.Join(r.Path, dir), Msg: "is not a directory"})
		case !errors.Is(err, fs.ErrNotExist):
			fail(&Error{File: filepath.Join(r.Path, dir), Err: withoutPath(err)})
		}
	}
	s.Digest = s.digest()
	return s, warnings
}

// setKey sets the field of one key. unknown: the key is not known.
func (s *Source) setKey(e entry, opt *LoadOptions) (unknown bool, err *Error) {
	key := foldKey(e.Key)
	bad := func(msg string, nearest string) *Error {
		return &Error{File: e.File, Line: e.Line, Source: s.Name, Key: e.Key, Msg: msg, Nearest: nearest}
	}
	if e.section == scheduleSection && s.Type != scheduleSection {
		s.Values[e.section+"."+key] = e.Value
		if msg := s.window(e.Key, e.Text, opt.CheckWindow); msg != nil {
			wrong := bad("", "")
			wrong.Err = msg
			return false, wrong
		}
		return false, nil
	}
	if e.section != "" {
		if e.section != s.Type {
			return true, bad(fmt.Sprintf("is in section [%s], which a source of type %s does not have", e.section, s.Type), "["+s.Type+"]")
		}
		if known := keysOfKind(s.Kind); !slices.Contains(known, "*") {
			has := func(k string) bool { return foldKey(k) == key }
			if !slices.ContainsFunc(known, has) {
				if len(known) == 0 {
					return true, bad(fmt.Sprintf("unknown key: type %s has none of its own", s.Type), "")
				}
				return true, bad("unknown key of type "+s.Type, nearest.Near(key, known))
			}
		}
		if at, ok := s.Values[key]; ok && at.Text != "" && s.Settings[key] != "" {
			return false, bad(fmt.Sprintf("given a second time; the first is in line %d", at.Line), "")
		}
		s.Settings[key] = e.Text
		s.Values[e.section+"."+key] = e.Value
		return false, nil
	}
	known := TopKeys(s.Kind)
	if !slices.ContainsFunc(known, func(k string) bool { return foldKey(k) == key }) {
		if has := func(k string) bool { return foldKey(k) == key }; slices.ContainsFunc(keysOfKind(s.Kind), has) {
			return true, bad(fmt.Sprintf("belongs into the section [%s]", s.Type), "")
		}
		return true, bad("unknown key", nearest.Near(key, known))
	}
	s.Values[key] = e.Value
	if msg := s.set(key, e.Text); msg != nil {
		wrong := bad("", "")
		wrong.Err = msg
		return false, wrong
	}
	return false, nil
}

// set sets a field from a key at the top.
func (s *Source) set(key, text string) error {
	integers := map[string]*int{
		"reserve": &s.Reserve, "spare": &s.Spare, "maximum": &s.Maximum, "concurrency": &s.Concurrency,
		"parallel": &s.Parallel, "max_uses": &s.MaxUses, "cold": &s.Cold,
	}
	durations := map[string]**time.Duration{"ttl": &s.TTL, "max_ttl": &s.MaxTTL, "lease_idle": &s.LeaseIdle,
		"idle": &s.Idle, "max_age": &s.MaxAge,
		"hook_timeout": &s.HookTimeout, "auto_confirm_dead": &s.ConfirmDead, "window": &s.Window}
	if p, ok := integers[key]; ok {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		if n < 0 {
			return fmt.Errorf("%d is negative", n)
		}
		*p = n
		return nil
	}
	if p, ok := durations[key]; ok {
		d, err := limit(text)
		if err != nil {
			return err
		}
		*p = &d
		return nil
	}
	var err error
	switch key {
	case "share":
		s.Share, err = parseBool(text)
	case "reuse":
		s.Reuse = strings.ReplaceAll(text, "_", "-")
		err = oneOf(s.Reuse, "clean", "as-is", "rebuild", "no")
	case "on_failure":
		s.OnFailure = text
		err = oneOf(text, "discard", "hold")
	case "image":
		s.Image = text
	case "flavor":
		s.Flavor = text
	case "bundles":
		s.Bundles = list(text)
	case "build":
		s.Build, err = parseBool(text)
	case "sources":
		s.Sources = list(text)
	case "projects":
		if s.Projects = list(text); len(s.Projects) == 0 {
			err = errors.New("names no project; leave it out for all")
		}
	default:
		if slices.ContainsFunc(s.Kind.TopKeys, func(k string) bool { return foldKey(k) == key }) {
			s.Settings[key] = text
			return nil
		}
		if slices.Contains(limitKeys, strings.ReplaceAll(key, "_", "-")) {
			return takeLimit(&s.Limits, key, text)
		}
		err = s.setDirectorKey(key, text)
	}
	return err
}

// require reports missing keys, and keys that do not go together.
func (s *Source) require(fail func(*Error)) {
	if s.Build && len(s.Bundles) == 0 {
		fail(&Error{File: s.File, Line: s.Values["build"].Line, Key: "build", Msg: "needs bundles, of which the image is built"})
	}
	if s.ConfirmDead != nil && *s.ConfirmDead > 0 && s.OnFailure != "hold" {
		fail(&Error{
			File: s.File, Line: s.Values["auto_confirm_dead"].Line, Key: "auto-confirm-dead",
			Msg: "needs on-failure = hold: else what failed is discarded at once",
		})
	}
	s.requireDirectorKeys(fail)
	if s.Kind.NoRebuild != "" && s.Reuse == "rebuild" {
		fail(&Error{
			File: s.File, Line: s.Values["reuse"].Line, Key: "reuse",
			Msg: fmt.Sprintf("rebuild: hostler cannot make a computer of type %s anew in its place; say %s", s.Type, s.Kind.NoRebuild),
		})
	}
	if s.Kind.Needs != nil {
		if key, what := s.Kind.Needs(s.Settings); key != "" {
			fail(&Error{File: s.File, Line: s.Values[key].Line, Key: key, Msg: what})
		}
	}
	if s.Kind.Pool {
		at := s.Values["sources"]
		if len(s.Sources) == 0 {
			fail(&Error{File: s.File, Line: at.Line, Key: "sources", Msg: "is required: a pool takes its instances from other sources"})
		}
		for i, child := range s.Sources {
			if slices.Contains(s.Sources[:i], child) {
				fail(&Error{File: s.File, Line: at.Line, Key: "sources", Msg: fmt.Sprintf("names %s twice", child)})
			}
		}
	}
}

// checkPools breaks pools with missing children, and pools that contain themselves.
func (g *loader) checkPools() {
	var reaches func(from, to string, seen map[string]bool) bool
	reaches = func(from, to string, seen map[string]bool) bool {
		s := g.byName[from]
		if s == nil || seen[from] {
			return false
		}
		seen[from] = true
		return slices.ContainsFunc(s.Sources, func(child string) bool { return child == to || reaches(child, to, seen) })
	}
	for _, s := range g.Sources {
		at := s.Values["sources"]
		for _, child := range s.Sources {
			if s.Err != nil {
				break
			}
			if g.byName[child] == nil {
				_, err := g.Source(child)
				near, _ := errors.AsType[*Error](err)
				s.Err = &Error{
					File: at.File, Line: at.Line, Source: s.Name, Key: "sources",
					Msg: fmt.Sprintf("there is no source %s%s", child, commaHint(child)), Nearest: near.Nearest,
				}
			}
		}
		if s.Err == nil && reaches(s.Name, s.Name, map[string]bool{}) {
			s.Err = &Error{File: at.File, Line: at.Line, Source: s.Name, Key: "sources", Msg: "the pool contains itself"}
		}
	}
}

// With returns a copy of the source with another name and another value of a key of its section.
// The copy keeps no instances ready.
func (s *Source) With(name, key, value string) *Source {
	out := *s
	out.Name, out.Reserve, out.Spare, out.Cold, out.Share, out.Direction = name, 0, 0, 0, false, Direction{Price: s.Price}
	if out.Settings = maps.Clone(s.Settings); out.Settings == nil {
		out.Settings = map[string]string{}
	}
	out.Settings[key] = value
	out.Digest = out.digest()
	return &out
}

// digest returns the digest of what determines how computers are made, in one form however it is
// written. Instances of another digest are replaced bit by bit. With the kind's Apart, only these
// keys count, and instances of other values are not given out.
func (s *Source) digest() string {
	// json sorts maps by key
	parts := []any{s.Type, s.Image, s.Flavor, s.Bundles, s.Sources, s.Settings}
	if s.Kind.Apart != nil {
		few := map[string]string{}
		for _, key := range s.Kind.Apart {
			if value, set := s.Settings[key]; set {
				few[key] = value
			}
		}
		// sources of one name in two roots are different
		parts = []any{s.Type, s.Place(), s.Bundles, few}
	}
	if s.Build {
		parts = append(parts, "build")
	}
	form, _ := json.Marshal(parts)
	sum := sha256.Sum256(form)
	return hex.EncodeToString(sum[:8])
}

// list splits a list at commas and line ends.
func list(s string) []string {
	var out []string
	for _, f := range strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == '\n' }) {
		if f = strings.TrimSpace(f); f != "" {
			out = append(out, f)
		}
	}
	return out
}

// parseBool reads yes, true, on or 1 and their opposites, in any case.
func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "yes", "true", "on", "1":
		return true, nil
	case "no", "false", "off", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither yes nor no", s)
}

func oneOf(s string, words ...string) error {
	if slices.Contains(words, s) {
		return nil
	}
	return fmt.Errorf("%q is none of %s", s, strings.Join(words, ", "))
}

// commaHint returns a hint on separators, if an unknown name may be several.
func commaHint(name string) string {
	if strings.ContainsAny(name, " \t") {
		return " (commas go between names)"
	}
	return ""
}
