//go:build linux

package mask

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Kind is the treatment of a path.
type Kind byte

const (
	Hide  Kind = 'h' // it is not there
	Empty Kind = 'e' // it is a directory with nothing of the host's in it
	// a directory below an emptied one, to be mounted over by itself, with the layer's directory of
	// this path over the host's
	Apart Kind = 'a'
)

// A Rule is the treatment of one path of the host; only the last element of the path may be a
// symbolic link.
type Rule struct {
	Path string
	Kind Kind
}

// Options describe a sandbox's caller, and the paths to hide beside the table's entries.
type Options struct {
	Home  string   // the caller's home directory, absolute; "": none
	UID   int      // the caller's
	Root  string   // the host's root; "": "/"
	State []string // hostler's own directories, absolute: state, configuration, cache, runtime
	Fresh []string // directories that begin empty, absolute
	Extra []string // paths that the user wants hidden, absolute or beginning with ~/
	// paths that the user wants shown, in the same form; secrets inside of them stay hidden
	Show []string
	// the working tree, absolute, and git's directories of it elsewhere; shown unless hidden as a
	// secret
	Tree []string

	Mounts []Mount  // of the host
	Near   []string // directories whose other mounts matter
	given  string   // the home before links were followed
	people []string // other people's homes
}

// firstUID is the first user id that people get.
const firstUID, nobodyUID = 1000, 65534

// maxPasswd is how much of /etc/passwd is read.
const maxPasswd = 64 << 20

// wish is a path to hide, before it is looked up.
type wish struct {
	path string
	kind Kind
	why  why
}

// findings are the results of find.
type findings struct {
	rules []Rule            // sorted by path
	shown []Shown           // sorted by path
	links map[string]string // on the way to what is shown
	why   map[string]why    // of the rules, by path
	signs []dirSign         // the directories that it rests on
}

// find returns the paths to show and to hide. A missing path gets a rule as well: the first missing
// part of it is hidden, so no directory is invented to hide something in it. It fails when o is
// wrong, or /etc/passwd cannot be read.
func find(o Options) (*findings, error) {
	if o.Root == "" {
		o.Root = "/"
	}
	for _, p := range slices.Concat([]string{o.Root}, o.State, o.Fresh, o.Tree) {
		if !path.IsAbs(p) {
			return nil, fmt.Errorf("%q is not an absolute path", p)
		}
	}
	w := newWalker(o.Root)
	if o.Home != "" {
		if !path.IsAbs(o.Home) {
			return nil, fmt.Errorf("the home directory %q is not an absolute path", o.Home)
		}
		o.Home = path.Clean(o.Home)
		o.given = o.Home
		if p, what, err := w.find(o.Home, true); err == nil && what == isDir {
			o.Home = p
		}
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	extra, err := expand(o.Extra, o.Home)
	if err != nil {
		return nil, err
	}
	for _, p := range extra {
		if q, what, err := w.find(p, true); err == nil && what == isDir && (vital(q) || q == o.Home) {
			return nil, fmt.Errorf("%s cannot be hidden: without it there is nothing to work in", p)
		}
	}
	show, err := expand(o.Show, o.Home)
	if err == nil {
		err = o.showable(w, show)
	}
	if err != nil {
		return nil, err
	}
	wishes, err := o.wishes(w, slices.Concat(show, o.Tree))
	if err != nil {
		return nil, err
	}
	for _, dir := range scanned() {
		wishes = w.closed(dir, wishes)
	}
	for _, p := range extra {
		wishes = append(wishes, wish{p, Hide, why{Asked, "`hide` of the source names it"}})
	}
	for _, p := range o.State {
		wishes = append(wishes, wish{path.Clean(p), Hide, why{Secret, "hostler's own: state, configuration, cache"}})
	}
	for i, p := range show {
		if show[i], err = w.canonical(p); err != nil {
			return nil, err
		}
	}
	b := &ruleSet{w: w, home: o.Home, show: show, people: o.people, rules: map[string]Kind{}, why: map[string]why{}}
	for _, wish := range wishes {
		if err := b.add(wish); err != nil {
			return nil, err
		}
	}
	b.others(o.mounts())
	trees := b.trees(o.Tree)
	b.show = append(b.show, trees...)
	for _, p := range o.Fresh {
		if p, what, err := w.find(p, true); err != nil {
			return nil, err
		} else if what == isDir {
			b.rules[p], b.why[p] = Empty, why{Fresh, "sandboxes begin with an empty " + p}
		}
	}
	f := &findings{links: map[string]string{}, why: b.why}
	if f.rules, err = b.rest(); err == nil {
		f.shown, err = o.shownPlaces(w, b, slices.Concat(show, o.Tree), f.links)
	}
	f.signs = w.signs()
	return f, err
}

// expand makes the user's paths absolute.
func expand(paths []string, home string) ([]string, error) {
	out := make([]string, 0, len(paths))
	for _, p := range paths {
		q := p
		if rest, ok := strings.CutPrefix(p, "~"); ok && home != "" && (rest == "" || rest[0] == '/') {
			q = home + rest
		}
		if !path.IsAbs(q) {
			return nil, fmt.Errorf("%q is neither an absolute path nor one that begins with ~/", p)
		}
		out = append(out, path.Clean(q))
	}
	return out, nil
}

// wishes returns what the table and the accounts ask for.
func (o *Options) wishes(w *walker, asked []string) ([]wish, error) {
	var out []wish
	for _, e := range secretsOnHost() {
		out = append(out, wish{e.Path, kindOf(e.Empty), e.why()})
	}
	homes, err := o.accounts(w)
	if err != nil {
		return nil, err
	}
	table := secretsInHomes()
	done := map[string]bool{}
	for _, h := range append([]account{{home: o.Home, own: true}, {home: "/root", own: o.UID == 0}}, homes...) {
		if h.home == "" || done[h.home] {
			continue
		}
		done[h.home] = true
		if !h.own {
			out = append(out, wish{h.home, Empty, why{Others, "another user's home"}})
			o.people = append(o.people, h.home)
			if !slices.ContainsFunc(asked, func(p string) bool { return p == h.home || below(p, h.home) || below(h.home, p) }) {
				continue
			}
		}
		if _, what, err := w.find(h.home, true); err != nil {
			return nil, err
		} else if what != isDir {
			out = append(out, wish{h.home, Hide, why{Others, "a home that is no directory"}})
			continue
		}
		for _, e := range table {
			if h.home == "/" && e.Path[0] != '.' {
				// a service without a home gets / in many systems; its Mail and snap are nobody's
				continue
			}
			out = append(out, wish{path.Join(h.home, e.Path), kindOf(e.Empty), e.why()})
		}
	}
	return out, nil
}

func kindOf(empty bool) Kind {
	if empty {
		return Empty
	}
	return Hide
}

// account is a line of /etc/passwd.
type account struct {
	home string
	own  bool // only secrets in it are hidden: it is the caller's, or the system's
}

// accounts reads the homes of /etc/passwd. A home of both a person and the system counts as the
// system's.
func (o *Options) accounts(w *walker) ([]account, error) {
	text, err := readPasswd(w.real("/etc/passwd"))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	w.note("/etc") // a new passwd is a rename in /etc
	var system, people []account
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) < 7 || !path.IsAbs(f[5]) {
			continue
		}
		uid, err := strconv.Atoi(f[2])
		if err != nil {
			continue
		}
		a := account{home: path.Clean(f[5]), own: true}
		if vital(a.home) && a.home != "/" {
			continue // the system's programs, or a sandbox's own: nobody's home
		}
		switch {
		case uid == o.UID:
			system = append(system, a)
		case uid == 0, uid >= firstUID && uid != nobodyUID && a.home != "/":
			a.own = false
			people = append(people, a)
		default:
			system = append(system, a)
		}
	}
	return append(system, people...), nil
}

// readPasswd reads a file of accounts. It refuses one that is not regular, or larger than
// maxPasswd.
func readPasswd(file string) (string, error) {
	fi, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxPasswd {
		return "", fmt.Errorf("%s is not a file of accounts", file)
	}
	text, err := os.ReadFile(file)
	return string(text), err
}

// ruleSet gathers rules.
type ruleSet struct {
	w      *walker
	home   string
	show   []string // in their canonical form
	people []string // other people's homes
	rules  map[string]Kind
	why    map[string]why
}

// add looks a wish up and adds its rules.
func (b *ruleSet) add(o wish) error {
	if dir, name, rest, ok := splitGlob(o.path); ok {
		names, err := b.w.match(dir, name)
		if err != nil {
			return err
		}
		if names == nil { // no such directory: nothing in it must ever show
			return b.add(wish{dir, Hide, o.why})
		}
		for _, n := range names {
			if err := b.add(wish{path.Join(dir, n, rest), o.kind, o.why}); err != nil {
				return err
			}
		}
		return nil
	}
	// not even looked at: these directories change all the time, and the stamp would never hold
	if fresh(o.path) && !below(o.path, b.home) {
		if top, what, err := b.w.find("/"+elements(o.path)[0], false); err != nil || what == isDir && fresh(top) {
			return err
		}
	}
	if len(b.show) > 0 {
		if p, err := b.w.canonical(o.path); err != nil || slices.Contains(b.show, p) {
			return err
		}
	}
	place, what, err := b.w.find(o.path, false)
	if err != nil {
		return err
	}
	if what == isLink {
		if o.kind == Hide {
			b.put(place, Hide, what, o.why)
		}
		if place, what, err = b.w.find(o.path, true); err != nil {
			return err
		}
	}
	switch what {
	case isLoop:
		return nil
	case isDir:
		b.put(place, o.kind, what, o.why)
	case isBlocked: // a file where a directory should be: nothing can be in it
		return nil
	default:
		b.put(place, Hide, what, o.why)
	}
	return nil
}

// splitGlob splits a path at its first element with a *: into what is before it, it, and the rest.
func splitGlob(p string) (dir, name, rest string, ok bool) {
	before, after, ok := strings.Cut(p, "*")
	dir, head := path.Split(before)
	tail, rest, _ := strings.Cut(after, "/")
	return path.Clean(dir), head + "*" + tail, rest, ok
}

// put adds a rule, unless it would hide the system or the caller's own home. A missing path may
// always be hidden.
func (b *ruleSet) put(place string, kind Kind, what what, why why) {
	if vital(place) && what != isMissing || fresh(place) && !below(place, b.home) || place == b.home {
		return
	}
	if below(b.home, place) {
		kind = Empty // so that there is a place for it
	}
	if old, ok := b.rules[place]; !ok || old == Empty {
		b.rules[place], b.why[place] = kind, why
	}
}

// rest removes shown paths, adds the places that stand apart, drops needless rules, and sorts.
func (b *ruleSet) rest() ([]Rule, error) {
	apart := []string{b.home}
	for _, s := range b.show {
		place, what, err := b.w.find(s, false)
		if err != nil {
			return nil, err
		}
		if what == isLink {
			delete(b.rules, place)
			place, what, err = b.w.find(s, true)
			if err != nil {
				return nil, err
			}
		}
		if what == isMissing {
			continue
		}
		delete(b.rules, place)
		switch above := b.above(place); {
		case above == "":
		case what != isDir:
			return nil, fmt.Errorf("%s cannot be shown, because %s is hidden: show that, or let it be a mount", s, above)
		default:
			apart = append(apart, place)
			for p := above; p != ""; p = b.above(p) {
				b.rules[p] = Empty
			}
		}
	}
	slices.Sort(apart) // so what is above comes first
	for _, p := range apart {
		if p == "" || !b.needless(p) {
			continue
		}
		if _, what, err := b.w.find(p, false); err == nil && what == isDir {
			b.rules[p] = Apart
		}
	}
	var out []Rule
	for p, kind := range b.rules {
		if kind == Apart || !b.needless(p) {
			out = append(out, Rule{p, kind})
		}
	}
	slices.SortFunc(out, func(a, b Rule) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// above returns the nearest hidden or emptied place that p is below, or "".
func (b *ruleSet) above(p string) string {
	for q := p; q != "/" && q != ""; {
		if q = path.Dir(q); q == b.home {
			return "" // which stands apart
		}
		if k, ok := b.rules[q]; ok && k != Apart {
			return q
		}
	}
	return ""
}

// needless reports whether another rule covers p already: the nearest rule above it hides or
// empties.
func (b *ruleSet) needless(p string) bool {
	for q := p; q != "/"; {
		q = path.Dir(q)
		if k, ok := b.rules[q]; ok {
			return k != Apart
		}
	}
	return false
}

// Covers reports whether nothing of the host's may show at p, because a rule hides or empties it or
// a directory above it. Callers ask it before they mount another file system of the host into a
// sandbox. The path of a rule of kind Empty counts as covered.
func Covers(rules []Rule, p string) bool {
	for p = path.Clean(p); ; p = path.Dir(p) {
		i, ok := slices.BinarySearchFunc(rules, p, func(r Rule, p string) int { return strings.Compare(r.Path, p) })
		if ok {
			return rules[i].Kind != Apart
		}
		if p == "/" || p == "." {
			return false
		}
	}
}

// below reports whether p is inside of dir.
func below(p, dir string) bool {
	return dir == "/" && p != "/" && p != "" || strings.HasPrefix(p, dir+"/")
}

// fresh reports whether p is where a sandbox has nothing of the host's anyway.
func fresh(p string) bool {
	for _, d := range []string{"/dev", "/proc", "/run", "/sys", "/tmp"} {
		if p == d || below(p, d) {
			return true
		}
	}
	return false
}

// vital reports whether a system needs p.
func vital(p string) bool {
	switch p {
	case "/", "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/proc", "/run", "/sbin", "/sys", "/tmp", "/usr", "/var",
		"/usr/bin", "/usr/games", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/libx32", "/usr/local", "/usr/local/bin", "/usr/local/lib",
		"/usr/local/sbin", "/usr/sbin", "/usr/share", "/var/cache", "/var/lib", "/var/spool", "/var/opt":
		return true
	}
	return false
}
