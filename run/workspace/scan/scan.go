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

// Options say what to scan. The zero value scans the tree around the process's directory and
// remembers nothing.
type Options struct {
	Dir string // the caller's directory; "": that of the process
	// the directory to send, relative to Dir; "" for the top of the git work tree, or Dir
	Root  string
	Plain bool // treat it as a plain directory of any size, and ignore git
	Large bool // allow more than the guards do
	// read no contents: all sums are 0, and no guard refuses
	Unread    bool
	FullModes bool // keep all permissions, not only the owner's x
	// patterns in gitignore's syntax, after those of .hostlerignore; they exclude tracked files too
	Exclude []string
	Include []string // patterns of files to include although git ignores them
	// the directory that remembers hashes, made if needed; "" remembers nothing
	Cache string
	// the user's home, which is never sent as a whole; "" for the process's user
	Home string

	began time.Time    // for tests: when the scan began
	read  func(string) // for tests: called after a file was read, before it is checked again
	stray func()       // for tests: called after paths are listed, before they are looked at
}

// ignoreFile is a file in the root with patterns of files not to send.
const ignoreFile = ".hostlerignore"

// scanTries is how often a tree that changes is scanned at most.
const scanTries = 3

// scanner is one scan.
type scanner struct {
	opt     Options
	at      treeRoot
	fd      int // the root
	rules   *filter
	include patterns
	tree    *Tree

	compared int // files that were read only to compare them with git's index
}

// Scan lists a tree. In a git work tree it lists the files on disk that git tracks, and those that
// it neither tracks nor ignores. Elsewhere it lists everything, up to a limit. It runs one git
// process, and one more for each submodule.
//
// An error of kind ErrInvalid is about the request or the files, and has a hint. ErrUnavailable
// says that the tree keeps changing, and ErrDenied that git does not trust it.
func Scan(ctx context.Context, opt Options) (*Tree, error) {
	s := &scanner{opt: opt}
	if s.opt.began.IsZero() {
		s.opt.began = time.Now()
	}
	var err error
	if s.at, err = opt.findRoot(); err != nil {
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
	var rules patterns
	if f, err := openFile(s.at.root, ignoreFile); err == nil {
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

// once scans the tree once.
func (s *scanner) once(ctx context.Context) (*Tree, error) {
	s.tree = &Tree{Root: s.at.root, Sub: s.at.sub, Git: s.at.top != ""}
	var memory []cachedHash
	var file string
	group, within := errgroup.WithContext(ctx)
	if s.opt.Cache != "" && !s.opt.Unread {
		file = hashCacheFile(s.opt.Cache, s.at.root)
		group.Go(func() error { memory = readHashCache(file, s.at.root); return nil })
	}
	var sights []foundPath
	group.Go(func() (err error) { sights, err = s.find(within); return err })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(sights, func(a, b foundPath) int { return cmp.Compare(a.Path, b.Path) })
	sights = slices.CompactFunc(sights, func(a, b foundPath) bool { return a.Path == b.Path })
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
		// on failure only the next scan takes longer
		_ = writeHashCache(file, s.at.root, sights, s.opt.began)
		forget(s.opt.Cache, s.opt.began)
	} else if file != "" && len(memory) > 0 {
		touchCache(file, s.opt.began)
	}
	return s.tree, nil
}

// find lists the paths that belong to the tree, with their attributes but without their contents.
func (s *scanner) find(ctx context.Context) ([]foundPath, error) {
	if s.at.top == "" {
		sights, err := s.walk(ctx)
		if err != nil {
			return nil, err
		}
		if err := s.statAll(ctx, sights); err != nil {
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
		err = s.statAll(ctx, more)
	}
	return append(sights, more...), err
}

// gitTree lists the files of the git work tree at top, from the directory prefix of the root on.
func (s *scanner) gitTree(ctx context.Context, prefix, top string) ([]foundPath, error) {
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
			continue // a tracked file is a directory now, and git lists its contents
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
			more = []foundPath{{Entry: Entry{Path: module}}}
			if err := s.statAll(ctx, more); err != nil {
				return nil, err
			}
		}
		out = append(out, more...)
	}
	return out, nil
}

// gitPaths lists the files of one git work tree. It reads the tracked paths from the index while
// git lists the rest. If the index changes meanwhile, or has another form, git lists everything.
func (s *scanner) gitPaths(ctx context.Context, dir, from, prefix, top string) ([]foundPath, error) {
	git := gitTracked{}
	var err error
	if git.dir, err = gitDir(top); err != nil {
		return nil, refused("", "%s: %w", top, err)
	}
	git.list, git.stamp, err = readIndex(git.dir)
	if err == nil {
		group, within := errgroup.WithContext(ctx)
		var others []string
		var sights []foundPath
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

// seeTracked looks at the tracked paths. stamp tells when the index was written; nil if that is
// unknown.
func (s *scanner) seeTracked(ctx context.Context, prefix string, list []tracked, stamp os.FileInfo) ([]foundPath, error) {
	sights := make([]foundPath, 0, len(list)+64)
	places := make([]int, 0, len(list))
	for i := range list {
		path := join(prefix, list[i].path)
		if neverSent(path, false) || s.rules.out(path, list[i].module) {
			continue
		}
		if err := CheckPath(path); err != nil {
			return nil, refused("", "git's index: %w", err)
		}
		sights = append(sights, foundPath{Entry: Entry{Path: path}, module: list[i].module})
		places = append(places, i)
	}
	if s.opt.stray != nil {
		s.opt.stray()
	}
	if err := s.statAll(ctx, sights); err != nil {
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

// seeOthers looks at untracked paths and adds them to the tracked ones.
func (s *scanner) seeOthers(ctx context.Context, prefix string, sights []foundPath, others []string) ([]foundPath, error) {
	first := len(sights)
	if len(others) > 0 {
		s.tree.Changed = FilesChanged
	}
	for _, name := range others {
		name, dir := strings.CutSuffix(name, "/") // another repository that is no submodule
		path := join(prefix, name)
		if neverSent(path, dir) || s.rules.out(path, dir) {
			continue
		}
		if err := CheckPath(path); err != nil {
			return nil, refused("", "git names a file that cannot be: %w", err)
		}
		sights = append(sights, foundPath{Entry: Entry{Path: path}, module: dir})
	}
	return sights, s.statAll(ctx, sights[first:])
}

// match takes the sums of unchanged files from memory. It returns the indexes of the others.
func match(sights []foundPath, memory []cachedHash) (unknown []int) {
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

// guard checks the amount to read, which will have to be sent too, before reading takes hours.
func (s *scanner) guard(sights []foundPath, unknown []int) error {
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

// build makes the tree from the sights.
func (s *scanner) build(sights []foundPath) error {
	tree := s.tree
	tree.Entries = make([]Entry, 0, len(sights))
	var order orderChecker
	for i := range sights {
		t := &sights[i]
		switch t.what {
		case lookGone:
			continue
		case lookSpecial:
			tree.Special = append(tree.Special, t.Path)
			continue
		case lookDir: // if anything follows below it, that implies the directory
			if s.parentOf(sights[i+1:], t.Path) {
				continue
			}
		case lookLink:
			if t.outside {
				tree.Outside = append(tree.Outside, t.Path)
			}
		}
		if err := order.add(tree.Entries, &t.Entry); err != nil {
			return changingError("%s %w: %w", s.at.root, errContradiction, err)
		}
		tree.Entries = append(tree.Entries, t.Entry)
		tree.Bytes += t.Size
	}
	slices.Sort(tree.Hidden)
	tree.Hidden = slices.Compact(tree.Hidden)
	tree.ID = ID(tree.Entries)
	return nil
}

// parentOf reports whether one of the sights that sort after a directory is below it.
func (s *scanner) parentOf(after []foundPath, dir string) bool {
	below := dir + "/"
	i, _ := slices.BinarySearchFunc(after, below, func(t foundPath, p string) int { return strings.Compare(t.Path, p) })
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

// touchCache marks a file of hashes as in use, now and then.
func touchCache(file string, now time.Time) {
	if info, err := os.Stat(file); err == nil && now.Sub(info.ModTime()) > memoryAge/4 {
		_ = os.Chtimes(file, now, now)
	}
}
