package config

import (
	"cmp"
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
	"unicode"

	"github.com/hostler-project/hostler/text/nearest"
)

// Bundle is a named set of files, scripts and keys: bundles/NAME/bundle.conf and the directories
// files, scripts and pubkeys beside it. Package bundle reads the keys.
type Bundle struct {
	Name     string
	Root     string // the root's path
	File     string // its bundle.conf
	Dir      string // its directory
	Tree     bool   // its root came with a tree
	Applied  bool   // it was applied, and is in no file of the user's
	Entries  []bundleEntry
	Include  []string // the bundles that come before it
	Shadowed []string // files that define the same name and do not count
	Err      error    // why it cannot be used; nil: it can

	digest string
}

// bundleEntry is one key of a bundle.conf.
type bundleEntry struct {
	Section string
	Value
}

// Files returns the bundle's directory. In a tree, links cannot leave it. close releases it.
func (b *Bundle) Files() (content fs.FS, close func() error, err error) {
	if !b.Tree {
		return os.DirFS(b.Dir), func() error { return nil }, nil
	}
	root, err := os.OpenRoot(b.Root)
	if err != nil {
		return nil, nil, err
	}
	sub, err := fs.Sub(root.FS(), filepath.Join("bundles", b.Name))
	if err != nil {
		_ = root.Close()
		return nil, nil, err
	}
	return sub, root.Close, nil
}

// Bundle returns the bundle of a name, or an *Error with the nearest name.
func (c *Config) Bundle(name string) (*Bundle, error) {
	var names []string
	for _, b := range c.Bundles {
		if b.Name == name {
			return b, nil
		}
		names = append(names, b.Name)
	}
	return nil, &Error{Key: "bundle " + name, Msg: "there is no such bundle", Nearest: nearest.Near(name, names)}
}

// BundleDigest returns a digest of everything in a bundle and in the bundles that it includes: 16
// hexadecimal digits. The first call reads the files.
func (c *Config) BundleDigest(name string) string {
	h := sha256.New()
	for _, n := range c.included(name, nil) {
		if b, err := c.Bundle(n); err == nil {
			if b.digest == "" {
				b.digest = b.sum()
			}
			fmt.Fprintf(h, "%q %s\n", n, b.digest)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// included lists a bundle and all that it includes, each once.
func (c *Config) included(name string, seen []string) []string {
	if slices.Contains(seen, name) {
		return seen
	}
	seen = append(seen, name)
	if b, err := c.Bundle(name); err == nil {
		for _, i := range b.Include {
			seen = c.included(i, seen)
		}
	}
	return seen
}

// bundleParts are the directories of a bundle that have a meaning.
var bundleParts = []string{"files", "scripts", "pubkeys"}

// sum returns the digest of the bundle's own directory.
func (b *Bundle) sum() string {
	p, err := openPlace(&Root{Path: b.Root, Tree: b.Tree})
	if err != nil {
		return "unreadable"
	}
	defer p.close()
	bound := &binding{place: p, files: map[string]string{}}
	bound.bundle(b.Name)
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(bound.files)) {
		name, err := filepath.Rel(b.Dir, path)
		if err != nil || !filepath.IsAbs(path) {
			name = path
		}
		// the target of a link is not part of its content
		_, what, _ := strings.Cut(bound.files[path], "\" ")
		fmt.Fprintf(h, "%q %s\n", name, cmp.Or(what, bound.files[path]))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// readBundles reads the bundles of one root.
func (g *loader) readBundles(r *Root, p *rootDir) {
	entries, err := p.list("bundles")
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			g.warn(&Error{File: r.Path + "/bundles", Err: withoutPath(err)})
		}
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		b := readBundle(r, p, e.Name())
		if r.Tree {
			// an approval does not depend on what shadows the bundle
			g.trees[r.Path].bundles = append(g.trees[r.Path].bundles, b)
		}
		if i := slices.IndexFunc(g.Bundles, func(o *Bundle) bool { return o.Name == e.Name() }); i >= 0 {
			g.Bundles[i].Shadowed = append(g.Bundles[i].Shadowed, b.File)
			continue
		}
		g.Bundles = append(g.Bundles, b)
	}
}

// readBundle reads a bundle.conf; errors go to Err.
func readBundle(r *Root, p *rootDir, name string) *Bundle {
	rel := filepath.Join("bundles", name)
	b := &Bundle{
		Name: name, Root: r.Path, Tree: r.Tree, Applied: r.Kind == AppliedKind, Dir: filepath.Join(r.Path, rel),
		File: filepath.Join(r.Path, rel, "bundle.conf"),
	}
	if strings.HasPrefix(name, "-") || strings.ContainsFunc(name, func(c rune) bool {
		return unicode.IsSpace(c) || !unicode.IsPrint(c) || strings.ContainsRune(":,/", c)
	}) {
		b.Err = &Error{File: b.Dir, Msg: fmt.Sprintf("%q cannot be a bundle's name", name)}
		return b
	}
	data, err := p.read(filepath.Join(rel, "bundle.conf"), maxFile)
	if err != nil {
		if errors.Is(err, syscall.ENOTDIR) {
			b.File, err = b.Dir, errors.New("is not a directory with a bundle.conf")
		}
		b.Err = &Error{File: b.File, Err: withoutPath(err)}
		return b
	}
	entries, err := parse(b.File, data, false, false)
	if err != nil {
		b.Err = err
		return b
	}
	for _, e := range entries {
		b.Entries = append(b.Entries, bundleEntry{e.section, e.Value})
		if e.section == "" && e.Key == "include" {
			b.Include = list(e.Text)
		}
	}
	return b
}

// checkBundles breaks sources whose bundles are missing or broken, and adds the content of bundles
// to the digests of sources.
func (g *loader) checkBundles() {
	for _, s := range g.Sources {
		if len(s.Bundles) == 0 || s.Err != nil {
			continue
		}
		at := s.Values["bundles"]
		fail := func(msg, nearest string, err error) {
			if s.Err == nil {
				s.Err = &Error{File: at.File, Line: at.Line, Source: s.Name, Key: "bundles", Msg: msg, Nearest: nearest, Err: err}
			}
		}
		h := sha256.New()
		fmt.Fprintln(h, s.Digest)
		for _, name := range s.Bundles {
			b, err := g.Bundle(name)
			if near, ok := errors.AsType[*Error](err); ok {
				fail("there is no bundle "+name, near.Nearest, nil)
				continue
			}
			if b.Err != nil {
				fail("bundle "+name, "", b.Err)
			}
			fmt.Fprintf(h, "%s %s\n", name, g.BundleDigest(name))
		}
		s.Digest = hex.EncodeToString(h.Sum(nil)[:8])
	}
}
