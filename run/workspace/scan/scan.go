package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options are what a scan can be told. The zero value scans the tree around the process's directory
// and remembers nothing.
type Options struct {
	Dir string // the caller's directory; "": that of the process
	// the directory to send, instead of the top of the git work tree or of Dir; relative to Dir
	Root  string
	Plain bool // take it as a plain directory, whatever git says, and however large it is
	Large bool // read and send more than the guards let pass
	// read no file: all sums are 0, and no guard refuses; for who wants to know what there is
	Unread    bool
	FullModes bool // keep all permissions, not the owner's x alone
	// patterns in gitignore's syntax, after those of .hostlerignore: what they mean is out, tracked
	// or not
	Exclude []string
	Include []string // patterns likewise: what they mean is in though git ignores it
	// directory where what was hashed is remembered, made if need be; "": nowhere
	Cache string
	// the user's home, which is never sent by itself; "": that of the process's user
	Home string

	began time.Time    // for tests: the time at which the scan began
	read  func(string) // for tests: called when a file has been read, before it is looked at again
	stray func()       // for tests: called when the paths are known, before they are looked at
}

// ignoreFile has patterns of what is not sent, in the root.
const ignoreFile = ".hostlerignore"

// scanTries is how often a tree is looked at that changes meanwhile, so that what was seen cannot
// all be true.
const scanTries = 3

// scanner is one scan.
type scanner struct {
	opt     Options
	at      place
	fd      int // the root
	rules   *filter
	include Patterns
	tree    *Tree

	compared int // files that were read only to know whether they differ from git's index
}

// Scan says what a tree holds. In a git work tree that is what git tracks, and what it neither
// tracks nor ignores, as it is on disk; elsewhere all that is there, if that is not too much. One
// git process runs, and one more for each submodule.
//
// Errors of kind ErrInvalid are about what the caller asked for, or what lies there, and have a
// hint; ErrUnavailable: the tree changes all the time; ErrDenied: git does not trust the tree.
func Scan(ctx context.Context, opt Options) (*Tree, error) {
	s := &scanner{opt: opt}
	if s.opt.began.IsZero() {
		s.opt.began = time.Now()
	}
	var err error
	if s.at, err = opt.place(); err != nil {
		return nil, err
	}
	root, err := openRoot(s.at.root)
	if err != nil {
		return nil, refused("", "%w", err)
	}
	defer root.Close()
	s.fd = int(root.Fd())
	if err := s.readRules(); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		tree, err := s.once(ctx)
		if !errors.Is(err, errContradiction) || try == scanTries {
			return tree, err
		}
	}
}

var errContradiction = errors.New("changed while it was looked at")

// readRules reads .hostlerignore and the patterns of the options.
func (s *scanner) readRules() error {
	c := cursor{root: s.fd}
	defer c.close()
	var rules Patterns
	if f, err := Open(s.at.root, ignoreFile); err == nil {
		text, err := readAll(f, 1<<20)
		f.Close()
		if err != nil {
			return unreadable(ignoreFile, err)
		}
		rules = parsePatterns(text)
	} else if !gone(err) {
		return refused("", "%w", err)
	}
	more, err := newPatterns(s.opt.Exclude)
	if err == nil {
		s.include, err = newPatterns(s.opt.Include)
	}
	if err != nil {
		return refused("", "%w", err)
	}
	s.rules = rules.Then(more).filter()
	return nil
}

// once looks at all of it.
func (s *scanner) once(ctx context.Context) (*Tree, error) {
	s.tree = &Tree{Root: s.at.root, Sub: s.at.sub, Git: s.at.top != ""}
	var memory []known
	var file string
	group, within := errgroup.WithContext(ctx)
	if s.opt.Cache != "" && !s.opt.Unread {
		file = memoryFile(s.opt.Cache, s.at.root)
		group.Go(func() error { memory = recall(file, s.at.root); return nil })
	}
	var sights []sight
	group.Go(func() (err error) { sights, err = s.find(within); return err })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(sights, func(a, b sight) int { return cmp.Compare(a.Path, b.Path) })
	sights = slices.CompactFunc(sights, func(a, b sight) bool { return a.Path == b.Path })
	if s.opt.Unread {
		return s.tree, s.build(sights)
	}
	unknown := match(sights, memory)
	if err := s.guard(sights, unknown); err != nil {
		return nil, err
	}
	if err := s.hash(ctx, sights, unknown); err != nil {
		return nil, err
	}
	if err := s.build(sights); err != nil {
		return nil, err
	}
	if file != "" && slices.ContainsFunc(unknown, func(i int) bool { return settled(&sights[i].id, s.opt.began) }) {
		// without it the next scan takes longer, and no more
		_ = remember(file, s.at.root, sights, s.opt.began)
		forget(s.opt.Cache, s.opt.began)
	} else if file != "" && len(memory) > 0 {
		touch(file, s.opt.began)
	}
	return s.tree, nil
}

// find looks at all paths that belong to the tree, and does not read them yet.
func (s *scanner) find(ctx context.Context) ([]sight, error) {
	if s.at.top == "" {
		sights, err := s.walk(ctx)
		if err != nil {
			return nil, err
		}
		if err := s.see(ctx, sights); err != nil {
			return nil, err
		}
		var bytes int64
		for i := range sights {
			bytes += sights[i].Size
		}
		if bytes > plainBytes && !s.opt.Plain {
			return nil, s.tooMuch("%s, more than %s", size(bytes), size(plainBytes))
		}
		return sights, nil
	}
	sights, err := s.gitTree(ctx, "", s.at.top)
	if err != nil || s.include.Empty() {
		return sights, err
	}
	more, err := s.included(ctx)
	if err == nil {
		err = s.see(ctx, more)
	}
	return append(sights, more...), err
}

// gitTree lists and looks at what belongs to the git work tree whose top is given, from the
// directory prefix of the root on.
func (s *scanner) gitTree(ctx context.Context, prefix, top string) ([]sight, error) {
	dir := filepath.Join(s.at.root, prefix)
	from, err := filepath.Rel(top, dir)
	if err != nil {
		return nil, err
	}
	if from == "." {
		from = ""
	}
	sights, err := s.gitPaths(ctx, dir, filepath.ToSlash(from), prefix, top)
	if err != nil {
		return nil, err
	}
	var modules []string
	out := sights[:0]
	for i := range sights {
		t := &sights[i]
		if t.what != lookDir {
			out = append(out, *t)
			continue
		}
		if !t.module {
			continue // what is tracked as a file is a directory now, and git names what is in it
		}
		if _, err := gitDir(filepath.Join(s.at.root, t.Path)); err == nil {
			modules = append(modules, t.Path)
			continue
		}
		out = append(out, *t)
	}
	for _, module := range modules {
		if strings.Count(module, "/") > MaxPath/8 {
			return nil, refused("", "git work trees within each other, without end: %.80q...", module)
		}
		more, err := s.gitTree(ctx, module, filepath.Join(s.at.root, module))
		if err != nil {
			return nil, err
		}
		if len(more) == 0 {
			more = []sight{{Entry: Entry{Path: module}}}
			if err := s.see(ctx, more); err != nil {
				return nil, err
			}
		}
		out = append(out, more...)
	}
	return out, nil
}

// gitPaths looks at what git names in one work tree. What it tracks is read from its index and
// looked at while git lists the rest. Where somebody writes the index meanwhile, or it is of
// another form, git is asked for all.
func (s *scanner) gitPaths(ctx context.Context, dir, from, prefix, top string) ([]sight, error) {
	git := gitTracked{}
	var err error
	if git.dir, err = gitDir(top); err != nil {
		return nil, refused("", "%s: %w", top, err)
	}
	git.list, git.stamp, err = readIndex(git.dir)
	if err == nil {
		group, within := errgroup.WithContext(ctx)
		var others []string
		var sights []sight
		group.Go(func() (err error) { others, err = untracked(within, dir); return err })
		group.Go(func() (err error) {
			sights, err = s.seeTracked(within, prefix, below(git.list, from), git.stamp)
			return err
		})
		if err := group.Wait(); err != nil {
			return nil, err
		}
		if git.same() {
			return s.seeOthers(ctx, prefix, sights, others)
		}
	}
	list, others, err := listed(ctx, dir)
	if err != nil {
		return nil, err
	}
	s.tree.Hidden = slices.DeleteFunc(s.tree.Hidden, func(p string) bool { return prefix == "" || strings.HasPrefix(p, prefix+"/") })
	s.tree.Changed = Unsure
	sights, err := s.seeTracked(ctx, prefix, list, nil)
	if err != nil {
		return nil, err
	}
	return s.seeOthers(ctx, prefix, sights, others)
}

// seeTracked looks at what git tracks, by an index of which stamp tells when it was written; nil:
// that is not known.
func (s *scanner) seeTracked(ctx context.Context, prefix string, list []tracked, stamp os.FileInfo) ([]sight, error) {
	sights := make([]sight, 0, len(list)+64)
	places := make([]int, 0, len(list))
	for i := range list {
		path := join(prefix, list[i].path)
		if alwaysOut(path, false) || s.rules.out(path, list[i].module) {
			continue
		}
		if err := CheckPath(path); err != nil {
			return nil, refused("", "git's index: %w", err)
		}
		sights = append(sights, sight{Entry: Entry{Path: path}, module: list[i].module})
		places = append(places, i)
	}
	if s.opt.stray != nil {
		s.opt.stray()
	}
	if err := s.see(ctx, sights); err != nil {
		return nil, err
	}
	for i := range sights {
		t := &list[places[i]]
		if t.hidden && sights[i].what == lookGone {
			s.tree.Hidden = append(s.tree.Hidden, sights[i].Path)
		} else if s.tree.Changed == Unchanged && stamp != nil {
			s.tree.Changed = s.differs(&sights[i], t, stamp.ModTime())
		}
	}
	return sights, nil
}

// seeOthers looks at what git does not track and adds it to what it does.
func (s *scanner) seeOthers(ctx context.Context, prefix string, sights []sight, others []string) ([]sight, error) {
	first := len(sights)
	if len(others) > 0 {
		s.tree.Changed = FilesChanged
	}
	for _, name := range others {
		name, dir := strings.CutSuffix(name, "/") // another repository, not tracked as a submodule
		path := join(prefix, name)
		if alwaysOut(path, dir) || s.rules.out(path, dir) {
			continue
		}
		if err := CheckPath(path); err != nil {
			return nil, refused("", "git names a file that cannot be: %w", err)
		}
		sights = append(sights, sight{Entry: Entry{Path: path}, module: dir})
	}
	return sights, s.see(ctx, sights[first:])
}

// match takes the sums of files that are as they were from memory, and returns the places of those
// that are not.
func match(sights []sight, memory []known) (unknown []int) {
	m := 0
	for i := range sights {
		t := &sights[i]
		if t.what != lookFile {
			continue
		}
		for m < len(memory) && memory[m].path < t.Path {
			m++
		}
		if m < len(memory) && memory[m].path == t.Path && memory[m].id == t.id {
			t.Sum = memory[m].sum
			continue
		}
		unknown = append(unknown, i)
	}
	return unknown
}

// guard looks at what has to be read, which is what will have to be sent as well, before the
// reading takes hours.
func (s *scanner) guard(sights []sight, unknown []int) error {
	var bytes int64
	for _, i := range unknown {
		bytes += sights[i].Size
	}
	if len(unknown) <= warnFiles && bytes <= warnBytes {
		return nil
	}
	entries := make([]Entry, len(unknown))
	for n, i := range unknown {
		entries[n] = sights[i].Entry
	}
	var err error
	s.tree.Warning, err = Weigh(entries).Check(s.opt.Large)
	return err
}

// build makes the tree of what was seen.
func (s *scanner) build(sights []sight) error {
	tree := s.tree
	tree.Entries = make([]Entry, 0, len(sights))
	var order ordered
	for i := range sights {
		t := &sights[i]
		switch t.what {
		case lookGone:
			continue
		case lookSpecial:
			tree.Special = append(tree.Special, t.Path)
			continue
		case lookDir: // what follows beneath it brings it along, if only that follows
			if s.parentOf(sights[i+1:], t.Path) {
				continue
			}
		case lookLink:
			if t.outside {
				tree.Outside = append(tree.Outside, t.Path)
			}
		}
		if err := order.add(tree.Entries, &t.Entry); err != nil {
			return changing("%s %w: %w", s.at.root, errContradiction, err)
		}
		tree.Entries = append(tree.Entries, t.Entry)
		tree.Bytes += t.Size
	}
	slices.Sort(tree.Hidden)
	tree.Hidden = slices.Compact(tree.Hidden)
	tree.ID = ID(tree.Entries)
	return nil
}

// parentOf reports whether a directory has anything below it among sights that sort after it.
func (s *scanner) parentOf(after []sight, dir string) bool {
	below := dir + "/"
	i, _ := slices.BinarySearchFunc(after, below, func(t sight, p string) int { return strings.Compare(t.Path, p) })
	for ; i < len(after) && strings.HasPrefix(after[i].Path, below); i++ {
		if after[i].what != lookGone && after[i].what != lookSpecial {
			return true
		}
	}
	return false
}

// readAll reads a small text.
func readAll(f *os.File, most int64) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.Size() > most {
		return "", fmt.Errorf("%d bytes, more than %d", info.Size(), most)
	}
	text := make([]byte, info.Size())
	n, err := f.ReadAt(text, 0)
	if n == len(text) {
		err = nil
	}
	return string(text[:n]), err
}

// touch says of a memory that it is in use, now and then.
func touch(file string, now time.Time) {
	if info, err := os.Stat(file); err == nil && now.Sub(info.ModTime()) > memoryAge/4 {
		_ = os.Chtimes(file, now, now)
	}
}
