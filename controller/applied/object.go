package applied

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// The kinds of thing.
const (
	Source  = "source"
	Bundle  = "bundle"
	Project = "project"
)

// kind is a kind of thing, with its directory and main file.
type kind struct {
	name, dir, file string
}

// kinds are in the order in which things are shown.
var kinds = []kind{{Bundle, "bundles", "bundle.conf"}, {Project, "projects", "project.conf"}, {Source, "sources", "source.conf"}}

func kindOf(name string) (kind, bool) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return kind{}, false
	}
	return kinds[i], true
}

// objectPath returns the path of a thing in a directory of configuration, such as sources/NAME.
// kind must be valid.
func objectPath(kind, name string) string {
	k, _ := kindOf(kind)
	return k.dir + "/" + name
}

// The limits on the size of things.
const (
	maxObject  = 16 << 20 // bytes of all files of a thing
	maxSet     = 32 << 20 // bytes of all things applied at once
	maxFiles   = 2000     // of a thing
	maxObjects = 10000    // in all
	maxLabel   = 253
)

// fileData returns the content of a file.
func fileData(f api.ThingFile) []byte {
	if f.Base64 != nil {
		return f.Base64
	}
	return []byte(f.Text)
}

// newFile returns a file in its normal form.
func newFile(path string, mode fs.FileMode, data []byte) api.ThingFile {
	f := api.ThingFile{Path: path}
	if mode &= 0o755; mode != 0o644 {
		f.Mode = fmt.Sprintf("%04o", mode)
	}
	if utf8.Valid(data) && bytes.IndexByte(data, 0) < 0 {
		f.Text = string(data)
	} else {
		f.Base64 = data
	}
	return f
}

// modeOf returns the permissions of a file.
func modeOf(f api.ThingFile) fs.FileMode {
	n, err := strconv.ParseUint(cmp.Or(f.Mode, "0644"), 8, 32)
	if err != nil {
		return 0o644
	}
	return fs.FileMode(n) & 0o755
}

// invalid is the error for a thing that is not valid.
func invalid(id, hint, format string, args ...any) error {
	return &compute.Error{ID: compute.ID(id), Kind: compute.ErrInvalid, Err: fmt.Errorf(format, args...), Hint: hint}
}

// ID returns the name of a thing for people.
func ID(kind, name string) string { return kind + " " + name }

// checkName returns an error for an unknown kind or a wrong name. A name has up to 63 letters,
// digits and . _ - and begins with a letter or a digit.
func checkName(kind, name string) error {
	if _, ok := kindOf(kind); !ok {
		return invalid("", "", "%q is no kind of thing: source, bundle or project", kind)
	}
	plain := func(c rune) bool {
		return c < unicode.MaxASCII && (unicode.IsLetter(c) || unicode.IsDigit(c)) || strings.ContainsRune("._-", c)
	}
	if name == "" || len(name) > 63 || strings.ContainsAny(name[:1], "._-") ||
		strings.ContainsFunc(name, func(c rune) bool { return !plain(c) }) {
		return invalid(
			"", "letters, digits and . _ - that begin with a letter or a digit, 63 at most",
			"%q cannot be the name of a %s that is applied", name, kind,
		)
	}
	return nil
}

// checkPath returns an error unless a path names a file below a thing's directory.
func checkPath(path string) error {
	if len(path) > 1024 || !fs.ValidPath(path) || path == "." ||
		strings.ContainsFunc(path, func(c rune) bool { return unicode.IsControl(c) || c == utf8.RuneError || c == '\\' }) {
		return fmt.Errorf("%.1100q is no path of a file below it", path)
	}
	for part := range strings.SplitSeq(path, "/") {
		if len(part) > 255 {
			return fmt.Errorf("%q: a part of the path is longer than 255 bytes", path)
		}
	}
	return nil
}

// checkLabels returns an error for labels that are ambiguous as a list of KEY=VALUE with commas.
func checkLabels(labels map[string]string) error {
	if len(labels) > 64 {
		return invalid("", "", "%d labels are more than 64", len(labels))
	}
	for key, value := range labels {
		for _, word := range []string{key, value} {
			if len(word) > maxLabel || !utf8.ValidString(word) ||
				strings.ContainsFunc(word, func(c rune) bool { return !unicode.IsPrint(c) || strings.ContainsRune(" ,=\"'", c) }) {
				return invalid("", "a label is KEY=VALUE, without spaces, commas and quotes", "%.300q cannot be in a label", word)
			}
		}
		if key == "" {
			return invalid("", "a label is KEY=VALUE", "a label has no name")
		}
	}
	return nil
}

// normal returns a thing in its normal form. It does not check labels.
func normal(w api.WantedThing) (t api.AppliedThing, err error) {
	if err := checkName(w.Kind, w.Name); err != nil {
		return t, err
	}
	k, _ := kindOf(w.Kind)
	id := ID(w.Kind, w.Name)
	if len(w.Files) > maxFiles {
		return t, invalid(id, "", "%d files are more than %d", len(w.Files), maxFiles)
	}
	t = api.AppliedThing{Kind: w.Kind, Name: w.Name, Labels: map[string]string{}, Files: make([]api.ThingFile, 0, len(w.Files))}
	size := 0
	dirs, files := map[string]bool{}, map[string]bool{}
	for _, f := range w.Files {
		if err := checkPath(f.Path); err != nil {
			return t, invalid(id, "", "%w", err)
		}
		if f.Text != "" && f.Base64 != nil {
			return t, invalid(id, "", "%s: both text and base64 are given", f.Path)
		}
		if files[f.Path] {
			return t, invalid(id, "", "%s: given a second time", f.Path)
		}
		files[f.Path] = true
		for i, c := range f.Path {
			if c == '/' {
				dirs[f.Path[:i]] = true
			}
		}
		mode := modeOf(f)
		// only bundles keep all bits: elsewhere only the executable bit matters, and the rest comes
		// from the umask of the checkout
		if w.Kind != Bundle {
			if mode&0o100 != 0 {
				mode = 0o755
			} else {
				mode = 0o644
			}
		}
		if mode&0o400 == 0 {
			return t, invalid(id, "", "%s: mode %s: nobody could read it", f.Path, f.Mode)
		}
		data := fileData(f)
		size += len(data)
		t.Files = append(t.Files, newFile(f.Path, mode, data))
	}
	for path := range files {
		if dirs[path] {
			return t, invalid(id, "", "%s: is a file, and a directory of others", path)
		}
	}
	switch {
	case !files[k.file]:
		return t, &compute.Error{ID: compute.ID(id), Kind: compute.ErrInvalid, Err: errors.New("there is no " + k.file + " in it")}
	case size > maxObject:
		return t, invalid(id, "", "its files hold %d MiB, more than %d", size>>20, maxObject>>20)
	}
	slices.SortFunc(t.Files, func(a, b api.ThingFile) int { return strings.Compare(a.Path, b.Path) })
	t.Digest = digest(t.Files)
	return t, nil
}

// digest returns 32 hexadecimal digits over paths, permissions and contents.
func digest(files []api.ThingFile) string {
	h := sha256.New()
	for _, f := range files {
		data := fileData(f)
		_, _ = fmt.Fprintf(h, "%q %04o %d\n", f.Path, modeOf(f), len(data))
		_, _ = h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// byName compares things in the order in which they are shown.
func byName(a, b api.AppliedThing) int {
	return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
}
