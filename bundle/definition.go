package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/hostler-project/hostler/compute"
)

// defaultTimeout is a script's time limit unless its bundle has another.
const defaultTimeout = 10 * time.Minute

// Entry is one key of a bundle.conf.
type Entry struct {
	Section, Key, Text string
	File               string
	Line               int
}

// Definition is a bundle as it is configured.
type Definition struct {
	Name        string
	File        string // its bundle.conf, for errors
	Description string
	Include     []Include
	Args        []Arg
	Scripts     []Script
	Files       []File
	Pubkeys     []string // names of files in pubkeys/
	When        []condition
	OnError     string // "stop", "continue"; "": stop
	Content     fs.FS  // its directory, with files/, scripts/ and pubkeys/
	Digest      string // of all that it and its includes hold; "": not known
	Err         error  // why the bundle cannot be used; or nil
}

// Include is a bundle that goes before another one, with the arguments that the other one gives.
type Include struct {
	Name string
	Args []Arg
	at   string
}

// Arg is a variable of a bundle with its default; with Required it has none. A value that refers to
// a secret is looked up by Plan.
type Arg struct {
	Name, Value string
	Required    bool
	at          string
}

// Script is a script of a bundle.
type Script struct {
	Name    string        // the file in scripts/
	Timeout time.Duration // 0: DefaultTimeout
	// "changed": if it has not run in this form; "once": until it has succeeded once; "always": at
	// every Apply
	Run   string
	When  []condition
	Watch []string // paths on the target: the script runs again when one has changed
	at    string
}

// File is a file that a bundle puts on the computer.
type File struct {
	Path     string // the absolute path on the computer
	Source   string // the file in files/
	Mode     int64  // -1: the mode of the source file
	Owner    string // "USER", "USER:GROUP" or ":GROUP", as in chown; "": the user that writes it
	Template bool   // a template if it has a marker, as scripts are
	When     []condition
	at       string
}

var (
	topKeys    = []string{"description", "include", "scripts", "files", "pubkeys", "when", "timeout", "on-error"}
	scriptKeys = []string{"timeout", "run", "when", "watch"}
	fileKeys   = []string{"source", "mode", "owner", "template", "when"}
)

// Parse makes a Definition of the keys of a bundle.conf, and of its directory. It reads no file; it
// only lists pubkeys/.
func Parse(name, file string, entries []Entry, content fs.FS) *Definition {
	d := &Definition{Name: name, File: file, Content: content, Pubkeys: []string{"*"}}
	p := parser{Definition: d, timeout: defaultTimeout}
	for _, e := range entries {
		if err := p.take(e); err != nil && d.Err == nil {
			d.Err = at(fmt.Sprintf("%s:%d", e.File, e.Line), name, e.Key, err)
		}
	}
	if d.Err == nil {
		d.Err = p.finish()
	}
	return d
}

// at makes an error of kind ErrInvalid about a bundle's definition.
func at(place, bundle, key string, err error) error {
	text := place
	if bundle != "" {
		text += ": bundle " + bundle
	}
	if key != "" {
		text += ": " + key
	}
	return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("%s: %w", strings.TrimPrefix(text, ": "), err)}
}

type parser struct {
	*Definition
	timeout time.Duration
}

// take takes one entry over into the definition. Its errors name no place: the caller adds it.
func (p *parser) take(e Entry) error {
	key := strings.ReplaceAll(e.Key, "_", "-")
	place := fmt.Sprintf("%s:%d", e.File, e.Line)
	kind, rest, _ := strings.Cut(e.Section, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case e.Section == "":
		return p.top(key, e, place)
	case e.Section == "args":
		if !isName(e.Key) {
			return errors.New("is no name of a variable: letters, digits and _ that begin with a letter or _")
		}
		p.Args = append(p.Args, Arg{Name: e.Key, Value: e.Text, Required: e.Text == "required", at: place})
		return nil
	case kind == "include" && rest != "":
		for i := range p.Include {
			if p.Include[i].Name == rest {
				p.Include[i].Args = append(p.Include[i].Args, Arg{Name: e.Key, Value: e.Text, at: place})
				return nil
			}
		}
		var names []string
		for _, i := range p.Include {
			names = append(names, i.Name)
		}
		return fmt.Errorf("[%s]: include does not name %s before it%s", e.Section, rest, suggestion(rest, names))
	case kind == "script" && rest != "":
		for i := range p.Scripts {
			if p.Scripts[i].Name == rest {
				return p.script(&p.Scripts[i], key, e.Text)
			}
		}
		var names []string
		for _, s := range p.Scripts {
			names = append(names, s.Name)
		}
		return fmt.Errorf("[%s]: scripts does not name %s before it%s", e.Section, rest, suggestion(rest, names))
	case kind == "file" && rest != "":
		for i := range p.Files {
			if p.Files[i].Path == rest {
				return p.file(&p.Files[i], key, e.Text)
			}
		}
		var names []string
		for _, f := range p.Files {
			names = append(names, f.Path)
		}
		return fmt.Errorf("[%s]: files does not name %s before it%s", e.Section, rest, suggestion(rest, names))
	}
	return fmt.Errorf(
		"is in the unknown section [%s]%s", e.Section,
		suggestion("["+e.Section+"]", []string{"[args]", "[include NAME]", "[script NAME]", "[file PATH]"}),
	)
}

// top reads a key that stands before any section.
func (p *parser) top(key string, e Entry, place string) (err error) {
	switch key {
	case "description":
		p.Description = e.Text
	case "include":
		for _, n := range list(e.Text) {
			p.Include = append(p.Include, Include{Name: n, at: place})
		}
	case "scripts":
		for _, n := range list(e.Text) {
			if !fs.ValidPath(n) || strings.ContainsFunc(n, unicode.IsControl) {
				return fmt.Errorf("%q is no name of a file in scripts/", n)
			}
			if slices.ContainsFunc(p.Scripts, func(s Script) bool { return s.Name == n }) {
				return fmt.Errorf("names %s twice", n)
			}
			p.Scripts = append(p.Scripts, Script{Name: n, Run: "changed", at: place})
		}
	case "files":
		for _, n := range list(e.Text) {
			if err := target(n); err != nil {
				return err
			}
			if slices.ContainsFunc(p.Files, func(f File) bool { return f.Path == n }) {
				return fmt.Errorf("names %s twice", n)
			}
			p.Files = append(p.Files, File{Path: n, Source: path.Base(n), Mode: -1, at: place})
		}
	case "pubkeys":
		p.Pubkeys = list(e.Text)
	case "when":
		p.When, err = parseConditions(e.Text)
	case "timeout":
		p.timeout, err = duration(e.Text)
	case "on-error":
		p.OnError, err = e.Text, oneOf(e.Text, "stop", "continue")
	default:
		err = errors.New("unknown key" + suggestion(key, topKeys))
	}
	return err
}

// script reads a key of a section [script NAME].
func (p *parser) script(s *Script, key, text string) (err error) {
	switch key {
	case "timeout":
		s.Timeout, err = duration(text)
	case "run":
		s.Run, err = text, oneOf(text, "changed", "once", "always")
	case "when":
		s.When, err = parseConditions(text)
	case "watch":
		if s.Watch = list(text); s.Run == "once" {
			err = errors.New("a script that runs once has nothing to watch")
		}
	default:
		err = errors.New("unknown key" + suggestion(key, scriptKeys))
	}
	return err
}

// file reads a key of a section [file PATH].
func (p *parser) file(f *File, key, text string) (err error) {
	switch key {
	case "source":
		if f.Source = text; !fs.ValidPath(text) || text == "." {
			err = fmt.Errorf("%q is no name of a file in files/", text)
		}
	case "mode":
		if f.Mode, err = strconv.ParseInt(text, 8, 32); err != nil || f.Mode < 0 || f.Mode > 0o7777 {
			err = fmt.Errorf("%q is no mode: octal digits, as 0644", text)
		}
	case "owner":
		f.Owner = text
		if text == "" || strings.HasPrefix(text, "-") || strings.ContainsFunc(text, func(c rune) bool {
			return c > unicode.MaxASCII || !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("._-:$", c)
		}) {
			err = fmt.Errorf("%q is no owner: USER or USER:GROUP", text)
		}
	case "template":
		switch strings.ToLower(text) {
		case "yes", "true", "on", "1":
			f.Template = true
		case "no", "false", "off", "0":
			f.Template = false
		default:
			err = fmt.Errorf("%q is neither yes nor no", text)
		}
	case "when":
		f.When, err = parseConditions(text)
	default:
		err = errors.New("unknown key" + suggestion(key, fileKeys))
	}
	return err
}

// finish fills in what depends on several keys.
func (p *parser) finish() error {
	for i := range p.Scripts {
		s := &p.Scripts[i]
		if s.Timeout == 0 {
			s.Timeout = p.timeout
		}
		for _, w := range s.Watch {
			if !slices.ContainsFunc(p.Files, func(f File) bool { return f.Path == w }) {
				var names []string
				for _, f := range p.Files {
					names = append(names, f.Path)
				}
				return at(s.at, p.Name, "watch", fmt.Errorf("script %s: files does not name %s%s", s.Name, w, suggestion(w, names)))
			}
		}
	}
	if slices.Equal(p.Pubkeys, []string{"*"}) {
		p.Pubkeys = nil
		entries, err := fs.ReadDir(p.Content, "pubkeys")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return at(p.File, p.Name, "pubkeys", bare(err))
		}
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), ".") && !strings.HasSuffix(e.Name(), "~") && !e.IsDir() {
				p.Pubkeys = append(p.Pubkeys, e.Name())
			}
		}
	} else if slices.Equal(p.Pubkeys, []string{"none"}) {
		p.Pubkeys = nil
	}
	for _, n := range p.Pubkeys {
		if !fs.ValidPath(n) {
			return at(p.File, p.Name, "pubkeys", fmt.Errorf("%q is no name of a file in pubkeys/", n))
		}
	}
	return nil
}

// target refuses a path that cannot be a file's on the computer.
func target(p string) error {
	switch {
	case !path.IsAbs(p) || path.Clean(p) != p || p == "/":
		return fmt.Errorf("%q is not an absolute path without . and ..: it is where the file goes", p)
	case strings.ContainsFunc(p, unicode.IsControl):
		return fmt.Errorf("%q has a control character", p)
	}
	return nil
}

func isName(s string) bool {
	for i, c := range []byte(s) {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// list splits at commas and line ends. It drops blanks around entries, and empty entries.
func list(s string) []string {
	var out []string
	for _, f := range strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == '\n' }) {
		if f = strings.TrimSpace(f); f != "" {
			out = append(out, f)
		}
	}
	return out
}

func oneOf(s string, words ...string) error {
	if slices.Contains(words, s) {
		return nil
	}
	return fmt.Errorf("%q is none of %s", s, strings.Join(words, ", "))
}

// duration reads Go's form of a duration, or days such as 1.5d. The least is one second.
func duration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok && err != nil {
		var n float64
		if n, err = strconv.ParseFloat(days, 64); err == nil {
			d = time.Duration(n * 24 * float64(time.Hour))
		}
	}
	if err != nil || d < time.Second {
		return 0, fmt.Errorf("%q is no time of a second or more, as 90s or 5m", s)
	}
	return d, nil
}

// bare unwraps the operation and path of an error, where the text before it has the path already.
func bare(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
