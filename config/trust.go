package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/policy"
)

// Danger is what a tree's root would do that its user must have approved: run code on this machine, or send something of his away.
type Danger struct {
	Root    string // the root's path
	Digest  string // over the content of all files that it depends on
	Trusted bool   // the user has approved this root with this content
	Risks   []Risk
}

// Risk is one such thing.
type Risk struct {
	File   string
	Line   int    // 0: the whole file
	Source string // the source that waits for approval; "": none does
	Why    string
}

// NeedsTrust lists, for each root that came with a tree, what in it needs approval, approved or not. Roots without anything are not in it.
// It speaks of the files as they were at Load.
func (c *Config) NeedsTrust() []Danger { return slices.Clone(c.dangers) }

// tree is a root that came with a tree, while it is looked at.
type tree struct {
	place    *place
	sources  []*Source // also those that are shadowed
	jobs     []*Job    // also those
	bundles  []*Bundle // also those that are shadowed
	settings []entry   // of its hostler.conf, beyond [defaults]
	source   *entry    // [defaults] source; nil: not set
	chosen   bool      // and no earlier root says another
}

func (g *gathering) closeTrees() {
	for _, t := range g.trees {
		t.place.close()
	}
}

// applyTrust finds the dangers, asks whether they are approved, and breaks the sources for which they are not.
func (g *gathering) applyTrust() {
	for _, r := range g.Roots {
		t := g.trees[r.Path]
		if t == nil {
			continue
		}
		risks, blocked, sum := g.examine(t)
		d := Danger{Root: r.Path, Digest: sum, Risks: risks}
		if len(risks) > 0 {
			ok, err := g.opt.Trust.Trusted(d.Root, d.Digest)
			if err != nil {
				g.warn(err)
			}
			d.Trusted = ok
			g.dangers = append(g.dangers, d)
		}
		if len(risks) > 0 && !d.Trusted {
			for _, j := range t.jobs {
				if j.Err == nil {
					j.Err = &Error{File: j.File, Err: ErrUntrusted}
				}
			}
			for _, s := range g.Sources {
				if risk, ok := blocked[s]; ok && s.Err == nil {
					s.Err = &Error{File: risk.File, Line: risk.Line, Source: s.Name, Msg: risk.Why, Err: ErrUntrusted}
				}
			}
			for _, b := range g.Bundles {
				if b.Root == r.Path && b.Err == nil {
					b.Err = &Error{File: b.File, Err: ErrUntrusted}
				}
			}
			if len(t.settings) > 0 {
				e := t.settings[0]
				g.warn(&Error{File: e.File, Line: e.Line, Key: e.Key, Msg: "is left out", Err: ErrUntrusted})
			}
			if e := t.source; t.chosen {
				// What names no source must not go elsewhere than the user thinks: neither to the tree's choice, nor past it.
				g.Defaults.Source, g.Defaults.Err = "", &Error{File: e.File, Line: e.Line, Key: e.Key, Err: ErrUntrusted}
				g.warn(g.Defaults.Err)
			}
			continue
		}
		for _, e := range t.settings {
			g.say(&r, e)
		}
	}
}

// examine returns a tree's risks, the sources that must wait with the first risk of each, and the digest.
func (g *gathering) examine(t *tree) (risks []Risk, blocked map[*Source]Risk, sum string) {
	b := &binding{place: t.place, files: map[string]string{}}
	blocked = map[*Source]Risk{}
	note := func(s *Source, r Risk) {
		if s != nil {
			r.Source = s.Name
			if _, ok := blocked[s]; !ok {
				blocked[s] = r
			}
		}
		risks = append(risks, r)
	}
	alien := foreign(t.place.path)
	whole := t.source != nil // where names lead is decided by all of its sources together
	for _, s := range t.sources {
		if errors.Is(s.Err, fs.ErrNotExist) || s.Type == "" {
			continue // no source.conf, nothing runs
		}
		before := len(risks)
		if alien {
			note(s, Risk{File: s.File, Why: "the directory " + t.place.path + " is another user's"})
		}
		g.hooks(t.place, s, note)
		g.settings(s, note)
		if redirects(s) {
			note(s, Risk{File: s.File, Why: "what is meant for this machine's own " + s.Name + " goes where it says"})
			whole = true
		}
		if len(risks) > before {
			b.source(s)
		}
	}
	for _, bundle := range t.bundles {
		if errors.Is(bundle.Err, fs.ErrNotExist) {
			continue
		}
		note(nil, Risk{File: bundle.Dir, Why: "its files and scripts are put on instances and run there"})
		dir := filepath.Join("bundles", bundle.Name)
		b.file(filepath.Join(dir, "bundle.conf"))
		for _, part := range bundleParts {
			if _, err := t.place.stat(filepath.Join(dir, part)); err == nil {
				b.tree(filepath.Join(dir, part))
			}
		}
	}
	for _, j := range t.jobs {
		note(nil, Risk{File: j.File, Why: "is a job: it says what is run, where, and which variables of yours go along"})
		b.file(filepath.Join("jobs", j.Name+".conf"))
	}
	for _, e := range t.settings {
		why := fmt.Sprintf("sets %s of [%s]", e.Key, e.section)
		if e.Key == "" {
			why = "has the section [" + e.section + "]"
		}
		note(nil, Risk{File: e.File, Line: e.Line, Why: why})
		b.file("hostler.conf")
	}
	if e := t.source; e != nil {
		note(nil, Risk{File: e.File, Line: e.Line, Why: "what names no source goes to " + e.Text})
		b.file("hostler.conf")
	}
	for _, s := range t.sources {
		if whole {
			b.source(s)
		}
	}
	return risks, blocked, b.digest()
}

// redirects reports whether a source takes a name by which users mean this machine, and is something else: commands and their input would go
// there unasked.
func redirects(s *Source) bool {
	return s.Name == "sandbox" || s.Name == "local" && s.Type != "local"
}

// hooks notes the executables beside a source.conf.
func (g *gathering) hooks(p *place, s *Source, note func(*Source, Risk)) {
	for _, event := range Events {
		dir := s.Hooks[event]
		if dir == "" {
			continue
		}
		entries, err := p.list(filepath.Join("sources", s.Name, event+".d"))
		if err != nil {
			note(s, Risk{File: dir, Why: "cannot be looked into: " + bare(err).Error()})
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			info, err := os.Stat(path) // a link out of the tree runs just as well
			if err != nil || info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				note(s, Risk{File: path, Why: "runs on this machine at " + event})
			}
		}
	}
}

// What a tree's source of a type may set without asking: where machines are and how large they are, and nothing that is run, read, shown or
// forwarded here. Of a type of ours that is not in the table, nothing.
var harmless = map[string][]string{
	"ssh":       {"ssh_host", "hosts", "user", "port"},
	"chroot":    {}, // a base too: whoever names the directory says whose programs run here as root
	"sandbox":   {"image", "upper", "cores", "memory", "disk", "pids", "network", "hide", "user", "entrypoint"},
	"container": {"image", "pull", "cores", "memory", "disk", "pids", "user", "entrypoint", "read-only"},
	"vm":        {"cores", "memory", "disk", "machine", "accel", "user", "warm"},
	"openstack": {"image", "flavor", "cores", "memory", "disk", "flavor-regex", "flavor-sets", "flavor-order", "zone", "floating-ip", "user"},
	"ironic":    {"image", "resource-class", "traits", "properties", "capabilities", "conductor-group", "shard", "user"},
	"local":     nil, "pool": nil, "fake": {"*"},
}

// settings notes what in a source.conf itself would do harm.
func (g *gathering) settings(s *Source, note func(*Source, Risk)) {
	if s.Type == "exec" || !g.KnownType(s.Type) {
		v := s.Values["type"]
		note(s, Risk{File: v.File, Line: v.Line, Why: fmt.Sprintf("type %s runs a program on this machine", s.Type)})
	}
	if s.Type == "kubernetes" { // without a key of its own too: the current cluster is often the one that matters
		v := s.Values["type"]
		note(s, Risk{File: v.File, Line: v.Line, Why: "makes pods, as you, in the cluster that your kubeconfig leads to"})
	}
	for _, key := range slices.Sorted(maps.Keys(s.Values)) {
		v := s.Values[key]
		at := func(why string) { note(s, Risk{File: v.File, Line: v.Line, Why: why}) }
		own, section := strings.CutPrefix(key, s.Type+".")
		if own == "ssh_host" || own == "hosts" {
			section = true
		}
		allowed, listed := harmless[s.Type]
		listed = listed || g.builtIn(s.Type)
		kind, _, ref := reference(v.Text)
		switch {
		case ref && kind == "command":
			at(v.Key + " runs a program on this machine")
		case ref:
			at(v.Key + " reads a secret of yours and uses it")
		case own == "image" && localImage(s.Type, v.Text):
			at(v.Key + " shows files of this machine to what runs there")
		case !section:
		case listed && !slices.Contains(allowed, own) && !slices.Contains(allowed, "*"):
			at(v.Key + " decides what runs or is read on this machine")
		case (own == "ssh_host" || own == "hosts") && slices.ContainsFunc(list(v.Text), func(h string) bool { return strings.HasPrefix(h, "-") }):
			at(v.Key + " looks like an option of ssh")
		case !listed && slices.ContainsFunc([]string{"command", "proxy", "exec", "env", "hook", "script", "program"},
			func(w string) bool { return strings.Contains(strings.ToLower(own), w) }):
			at(v.Key + " may run a program or send your environment")
		}
	}
}

// builtIn reports whether a type is the program's own, rather than an outside executable's.
func (g *gathering) builtIn(typ string) bool {
	_, ok := g.opt.TypeKeys[typ]
	return ok
}

// localImage reports whether an image is files of this machine: whoever names a directory names what commands see of it, with nothing hidden.
func localImage(typ, image string) bool {
	if typ == "vm" || typ == "chroot" {
		return true
	}
	if typ != "sandbox" {
		return false
	}
	return policy.Local(image) && image != "host"
}

// within reports whether an absolute path is in the tree around top.
func within(top, path string) bool {
	rel, err := filepath.Rel(top, filepath.Clean(path))
	return err == nil && filepath.IsLocal(rel)
}

// foreign reports whether a directory belongs to somebody else who is not root: anybody may leave a .hostler in /tmp. To root, whose checkouts
// and containers have files of many owners, nothing is foreign.
func foreign(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return true
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	me := os.Geteuid()
	return ok && me != 0 && st.Uid != 0 && int(st.Uid) != me
}

// binding gathers the content that an approval is bound to.
type binding struct {
	place *place
	files map[string]string // by name: what it is, whether it may be executed, and the hash of its content
}

// maxBound is more than any script has; a larger file is bound by its size and time.
const maxBound = 16 << 20

// source binds a source's configuration, its hooks, and the files in reach that its settings name.
func (b *binding) source(s *Source) {
	dir := filepath.Join("sources", s.Name)
	b.file(filepath.Join(dir, "source.conf"))
	for event := range s.Hooks {
		b.tree(filepath.Join(dir, event+".d"))
	}
	for key, v := range s.Values {
		_, words, _ := reference(v.Text)
		named := b.named(append(strings.FieldsFunc(words, func(c rune) bool { return strings.ContainsRune(" \t\n'\"", c) }), v.Text), s.Dir)
		if key != s.Type+".kubeconfig" {
			continue
		}
		for _, path := range named { // it names programs that are run, and files of tokens and certificates, as seen from where it is
			if info, err := os.Stat(path); err != nil || info.Size() > maxBound {
				continue
			}
			if text, err := os.ReadFile(path); err == nil {
				b.named(strings.FieldsFunc(string(text), func(c rune) bool { return strings.ContainsRune(" \t\r\n'\"[]{},", c) }), filepath.Dir(path))
			}
		}
	}
}

// named binds the files in reach that words name, as seen from a directory, the tree or the current one, and returns their paths.
func (b *binding) named(words []string, dir string) (paths []string) {
	tree := filepath.Dir(b.place.path)
	for _, w := range words {
		dirs := []string{dir, tree, "."}
		if filepath.IsAbs(w) {
			dirs = []string{"/"}
		}
		for _, d := range dirs {
			if path, err := filepath.Abs(filepath.Join(d, w)); err == nil && within(tree, path) {
				b.outside(path)
				if b.files[path] != "" {
					paths = append(paths, path)
				}
			}
		}
	}
	return paths
}

// file binds a file of the root.
func (b *binding) file(name string) { b.outside(filepath.Join(b.place.path, name)) }

// tree binds all that is in a directory of the root, and below. Links are bound with what they lead to.
func (b *binding) tree(name string) {
	entries, err := b.place.list(name)
	if err != nil {
		b.files[name] = "unreadable"
		return
	}
	for _, e := range entries {
		if sub := filepath.Join(name, e.Name()); e.IsDir() {
			b.tree(sub)
		} else {
			b.file(sub)
		}
	}
}

// outside binds a file by its path; one that is not there, or a directory, not at all.
func (b *binding) outside(path string) {
	if _, ok := b.files[path]; ok {
		return
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return // opening a device may do something
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, syscall.ENAMETOOLONG) {
			b.files[path] = "unreadable"
		}
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	target, _ := filepath.EvalSymlinks(path)
	what := fmt.Sprintf("%q %v ", target, info.Mode()&0o111 != 0)
	if data, err := readRegular(f, maxBound); err == nil {
		what += fmt.Sprintf("%x", sha256.Sum256(data))
	} else {
		what += fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())
	}
	b.files[path] = what
}

func (b *binding) digest() string {
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(b.files)) {
		fmt.Fprintf(h, "%q %s\n", path, b.files[path])
	}
	return hex.EncodeToString(h.Sum(nil))
}
