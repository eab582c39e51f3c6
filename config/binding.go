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
	"unicode/utf8"
)

// binding collects the content that an approval is bound to.
type binding struct {
	place *rootDir
	// by path: where it leads, whether it is executable, and the hash of its content
	files map[string]string
	texts map[string]string // contents of short files, by path; nil: not wanted
}

func newBinding(p *rootDir) *binding {
	return &binding{place: p, files: map[string]string{}, texts: map[string]string{}}
}

// maxShown is the largest file whose text is kept, to show a change of it.
const maxShown = 32 << 10

// maxBound is more than any script has. Of a larger file only size and time are bound.
const maxBound = 16 << 20

// source binds a source's configuration, its hooks, and the files of the tree that its settings
// name.
func (b *binding) source(s *Source) {
	dir := filepath.Join("sources", s.Name)
	b.file(filepath.Join(dir, "source.conf"))
	for event := range s.Hooks {
		b.tree(filepath.Join(dir, event+".d"))
	}
	for key, v := range s.Values {
		_, words, _ := reference(v.Text)
		named := b.named(append(strings.FieldsFunc(words, func(c rune) bool { return strings.ContainsRune(" \t\n'\"", c) }), v.Text), s.Dir)
		own := strings.TrimPrefix(key, s.Type+".")
		if !slices.ContainsFunc(s.Kind.Follows, func(k string) bool { return foldKey(k) == own }) {
			continue
		}
		// such a file names programs to run, and files of tokens and certificates, relative to
		// itself
		for _, path := range named {
			if info, err := os.Stat(path); err != nil || info.Size() > maxBound {
				continue
			}
			if text, err := os.ReadFile(path); err == nil {
				b.named(
					strings.FieldsFunc(string(text), func(c rune) bool { return strings.ContainsRune(" \t\r\n'\"[]{},", c) }),
					filepath.Dir(path),
				)
			}
		}
	}
}

// named binds the files in the tree that words name, relative to a directory, the tree or the
// current directory. It returns their paths.
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

// bundle binds everything in a bundle.
func (b *binding) bundle(name string) {
	dir := filepath.Join("bundles", name)
	b.file(filepath.Join(dir, "bundle.conf"))
	for _, part := range bundleParts {
		if _, err := b.place.stat(filepath.Join(dir, part)); err == nil {
			b.tree(filepath.Join(dir, part))
		}
	}
}

// join adds the files of another binding.
func (b *binding) join(other *binding) {
	maps.Copy(b.files, other.files)
}

// file binds a file of the root.
func (b *binding) file(name string) { b.outside(filepath.Join(b.place.path, name)) }

// tree binds everything in a directory of the root, recursively. Links are bound with their
// targets.
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

// outside binds a file by its path. A missing file and a directory are not bound.
func (b *binding) outside(path string) {
	if _, ok := b.files[path]; ok {
		return
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return // opening a device may have effects
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
		if b.texts != nil && len(data) <= maxShown && utf8.Valid(data) {
			b.texts[path] = string(data)
		}
	} else {
		what += fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())
	}
	b.files[path] = what
}

// digest returns the SHA-256 over all files in hexadecimal digits, independent of their order.
func (b *binding) digest() string {
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(b.files)) {
		fmt.Fprintf(h, "%q %s\n", path, b.files[path])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// within reports whether an absolute path is in the tree around top.
func within(top, path string) bool {
	rel, err := filepath.Rel(top, filepath.Clean(path))
	return err == nil && filepath.IsLocal(rel)
}
