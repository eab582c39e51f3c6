package oldconfig

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/compute"
)

// Config is what was read of one directory or, added up, of several.
type Config struct {
	Dir      string // of the last one
	Settings map[string]Value
	Bundles  []Bundle
	Keys     []string // files of public keys
	Unread   []Unread
}

// Bundle is a named set of scripts and files.
type Bundle struct {
	Name           string
	Scripts, Files []File
}

// File is one that is put on a node.
type File struct {
	Local  string // here
	Remote string // there, an absolute path
}

// Unread is what was not read, and why.
type Unread struct {
	File string
	Line int // 0: the whole file
	Text string
	Why  string
}

// String returns FILE: WHY for a whole file, and FILE:LINE: not read: WHY: TEXT for a part of
// it.
func (u Unread) String() string {
	where := u.File
	if u.Line > 0 {
		where = fmt.Sprintf("%s:%d", u.File, u.Line)
	}
	if u.Text == "" {
		return where + ": " + u.Why
	}
	return where + ": not read: " + u.Why + ": " + u.Text
}

// maxFile is more than any configuration needs.
const maxFile = 1 << 20

// targetDir is where scripts go unless the configuration says otherwise.
const targetDir = "/root/deploy"

// Read reads a directory into c, after what was read into it before. The directory is as provision
// had it: a Python package with init(config), in it pubkeys, scripts and files. An error is about
// the directory itself; what is odd in it is among Unread.
func (c *Config) Read(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		if err == nil {
			err = syscall.ENOTDIR
		}
		return &compute.Error{Kind: compute.ErrInvalid, Err: err, Hint: "a directory with an __init__.py, as provision's -c takes"}
	}
	c.Dir = dir
	if c.Settings == nil {
		c.Settings = map[string]Value{}
	}
	if err := c.keys(filepath.Join(dir, "pubkeys")); err != nil {
		return err
	}
	file := filepath.Join(dir, "__init__.py")
	data, err := readFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if len(c.Keys) == 0 {
			c.Unread = append(c.Unread, Unread{File: file, Why: "it is not there"})
		}
		return nil
	}
	if err != nil {
		return &compute.Error{Kind: compute.ErrInvalid, Err: err}
	}
	c.source(file, string(data))
	return nil
}

// readFile reads a regular file of at most 1 MiB. It does not block on a pipe.
func readFile(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than 1 MiB", name)
	}
	return data, err
}

// keys lists the files of public keys.
func (c *Config) keys(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &compute.Error{Kind: compute.ErrInvalid, Err: err}
	}
	for _, e := range entries {
		if e.Type().IsRegular() || e.Type()&fs.ModeSymlink != 0 {
			c.Keys = append(c.Keys, filepath.Join(dir, e.Name()))
		}
	}
	return nil
}

// source reads init(config) of a file.
func (c *Config) source(file, src string) {
	lines := lex(src)
	unread := func(l line, why string) {
		c.Unread = append(c.Unread, Unread{File: file, Line: l.number, Text: shorten(l.raw), Why: why})
	}
	found := false
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		p := &parser{tokens: l.tokens}
		if l.indent == 0 && p.take("def", "init", "(") && len(p.tokens) > 0 && p.tokens[0].kind == name {
			found = true
			param := p.tokens[0].text
			p.tokens = p.tokens[1:]
			body := i + 1
			if !p.take(")", ":") {
				unread(l, "init takes one argument")
			} else if len(p.tokens) > 0 { // on the same line
				c.statement(file, line{number: l.number, raw: l.raw, tokens: p.tokens, odd: l.odd}, param, unread)
			}
			for body < len(lines) && lines[body].indent > 0 {
				body++
			}
			c.block(file, lines[i+1:body], param, unread)
			i = body - 1
			continue
		}
		if l.indent == 0 && !quiet(l) {
			unread(l, "it stands outside of init")
		}
		for i+1 < len(lines) && lines[i+1].indent > l.indent && l.indent == 0 {
			i++
		}
	}
	if !found {
		c.Unread = append(c.Unread, Unread{File: file, Why: "there is no init(config) in it"})
	}
}

// quiet are lines that do nothing by themselves.
func quiet(l line) bool {
	if len(l.tokens) == 0 {
		return l.odd == ""
	}
	first := l.tokens[0]
	return l.odd == "" &&
		(first.kind == text && len(l.tokens) == 1 || first.is("import") || first.is("from") || first.is("pass") ||
			first.is("return") && len(l.tokens) == 1)
}

// block reads the statements of init.
func (c *Config) block(file string, lines []line, param string, unread func(line, string)) {
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		deeper := i + 1
		for deeper < len(lines) && lines[deeper].indent > l.indent {
			deeper++
		}
		if deeper > i+1 {
			unread(l, "what is in it depends on more than literals")
			i = deeper - 1
			continue
		}
		if !quiet(l) {
			c.statement(file, l, param, unread)
		}
	}
}

// shorten keeps the beginning of a line, and of that nothing that could be a secret.
func shorten(s string) string {
	if i := strings.IndexAny(s, "\"'"); i >= 0 {
		s = s[:i] + "..."
	}
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "..."
	}
	return s
}

// statement reads one: PARAM.NAME = LITERAL and its kin.
func (c *Config) statement(file string, l line, param string, unread func(line, string)) {
	if l.odd != "" {
		unread(l, l.odd)
		return
	}
	for _, part := range statements(l.tokens) {
		p := &parser{tokens: part}
		if !p.take(param, ".") || len(p.tokens) == 0 || p.tokens[0].kind != name {
			unread(l, "it is no "+param+".NAME = LITERAL or the like")
			continue
		}
		setting := p.tokens[0].text
		p.tokens = p.tokens[1:]
		if err := c.change(file, setting, p); err != nil {
			unread(l, err.Error())
		}
	}
}

// statements takes apart what semicolons put on one line.
func statements(tokens []token) (out [][]token) {
	from := 0
	for i, t := range tokens {
		if t.kind == op && t.text == ";" {
			out = append(out, tokens[from:i])
			from = i + 1
		}
	}
	if from < len(tokens) {
		out = append(out, tokens[from:])
	}
	return out
}

// change carries out what follows the name of a setting.
func (c *Config) change(file, setting string, p *parser) error {
	whole := func(end string) (Value, error) {
		v, err := p.value()
		if err == nil && end != "" && !p.take(end) {
			err = errLiteral
		}
		if err == nil && len(p.tokens) > 0 {
			err = errLiteral
		}
		return v, err
	}
	old := c.Settings[setting]
	if _, set := c.Settings[setting]; setting == "DESTROYABLE_PREFIXES" && !set {
		old = List{"deploy-test-"} // what provision begins with
	}
	switch {
	case (setting == "add_bundle" || setting == "new_bundle") && p.take("("):
		return c.bundle(file, setting, p)
	case p.take("="):
		v, err := whole("")
		if err == nil {
			c.Settings[setting] = v
		}
		return err
	case p.take("+="), p.take(".", "extend", "("):
		end := ")"
		if len(p.tokens) == 0 || !closes(p.tokens) {
			end = ""
		}
		v, err := whole(end)
		if err != nil {
			return err
		}
		list, ok := v.(List)
		before, fits := asList(old)
		if !ok || !fits {
			return errors.New("it is no list")
		}
		c.Settings[setting] = append(slices.Clone(before), list...)
	case p.take(".", "append", "("):
		v, err := whole(")")
		if err != nil {
			return err
		}
		before, fits := asList(old)
		if !fits {
			return errors.New("it is no list")
		}
		c.Settings[setting] = append(slices.Clone(before), v)
	case p.take(".", "update", "("):
		v, err := whole(")")
		if err != nil {
			return err
		}
		d, ok := v.(Dict)
		before, fits := asDict(old)
		if !ok || !fits {
			return errors.New("it is no dictionary")
		}
		for _, item := range d {
			before = before.with(item)
		}
		c.Settings[setting] = before
	case p.take("["):
		key, err := p.value()
		if err != nil {
			return err
		}
		k, ok := key.(string)
		before, fits := asDict(old)
		if !ok || !fits || !p.take("]", "=") {
			return errLiteral
		}
		v, err := whole("")
		if err != nil {
			return err
		}
		c.Settings[setting] = before.with(Item{k, v})
	default:
		return errors.New("it is neither assigned nor extended")
	}
	return nil
}

// closes reports whether tokens end with a bracket that began before them.
func closes(tokens []token) bool {
	depth := 0
	for _, t := range tokens {
		switch {
		case t.kind == op && strings.Contains("([{", t.text):
			depth++
		case t.kind == op && strings.Contains(")]}", t.text):
			depth--
		}
	}
	return depth < 0
}

func asList(v Value) (List, bool) {
	if v == nil {
		return nil, true
	}
	l, ok := v.(List)
	return l, ok
}

func asDict(v Value) (Dict, bool) {
	if v == nil {
		return nil, true
	}
	d, ok := v.(Dict)
	return slices.Clone(d), ok
}

// with sets a key.
func (d Dict) with(item Item) Dict {
	if i := slices.IndexFunc(d, func(o Item) bool { return o.Key == item.Key }); i >= 0 {
		d[i] = item
		return d
	}
	return append(d, item)
}

// arguments are those of a call, by position and by name.
func (p *parser) arguments(names ...string) (map[string]Value, error) {
	out := map[string]Value{}
	for i := 0; !p.take(")"); i++ {
		key := ""
		if len(p.tokens) > 1 && p.tokens[0].kind == name && p.tokens[1].is("=") {
			key = p.tokens[0].text
			p.tokens = p.tokens[2:]
		} else if i < len(names) {
			key = names[i]
		}
		if !slices.Contains(names, key) {
			return nil, errors.New("an argument that is not known")
		}
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		out[key] = v
		if !p.take(",") {
			if !p.take(")") {
				return nil, errLiteral
			}
			break
		}
	}
	if len(p.tokens) > 0 {
		return nil, errLiteral
	}
	return out, nil
}

// bundle reads a call of add_bundle or new_bundle. Local paths are below the directory that is
// being read.
func (c *Config) bundle(file, call string, p *parser) error {
	names := []string{"name", "scripts", "files", "scriptsdir", "filesdir"}
	if call == "new_bundle" {
		names = []string{"name", "scriptmap", "filemap"}
	}
	args, err := p.arguments(names...)
	if err != nil {
		return err
	}
	b := Bundle{}
	ok := false
	if b.Name, ok = args["name"].(string); !ok || b.Name == "" || strings.ContainsAny(b.Name, "/\x00") || b.Name == "." || b.Name == ".." {
		return errors.New("a bundle's name is a word")
	}
	dir := filepath.Dir(file)
	local := func(name string) string {
		if filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(dir, name)
	}
	if call == "new_bundle" {
		b.Scripts, err = mapped(args["scriptmap"], local)
		if err == nil {
			b.Files, err = mapped(args["filemap"], local)
		}
	} else {
		scripts, files := "scripts", "files"
		if s, ok := args["scriptsdir"].(string); ok {
			scripts = s
		}
		if s, ok := args["filesdir"].(string); ok {
			files = s
		}
		to := targetDir
		if s, ok := c.Settings["DEFAULT_TARGETDIR"].(string); ok {
			to = s
		}
		b.Scripts, err = each(args["scripts"], func(name string) File {
			return File{local(filepath.Join(scripts, name)), path.Join(to, name)}
		})
		if err == nil {
			b.Files, err = each(args["files"], func(name string) File {
				return File{local(filepath.Join(files, path.Base(name))), name}
			})
		}
	}
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(c.Bundles, func(o Bundle) bool { return o.Name == b.Name }); i >= 0 {
		c.Unread = append(c.Unread, Unread{File: file, Why: fmt.Sprintf("the bundle %s is defined again, and this one counts", b.Name)})
		c.Bundles[i] = b
		return nil
	}
	c.Bundles = append(c.Bundles, b)
	return nil
}

// each makes a File of each name in a list. It refuses an empty name.
func each(v Value, f func(string) File) (out []File, err error) {
	l, ok := asList(v)
	if !ok {
		return nil, errors.New("a bundle's scripts and files are lists")
	}
	for _, v := range l {
		s, ok := v.(string)
		if !ok || s == "" {
			return nil, errors.New("a bundle's scripts and files are lists of names")
		}
		out = append(out, f(s))
	}
	return out, nil
}

// mapped reads a map from remote paths to local ones.
func mapped(v Value, local func(string) string) (out []File, err error) {
	d, ok := asDict(v)
	if !ok {
		return nil, errors.New("a bundle's maps are dictionaries")
	}
	for _, item := range d {
		s, ok := item.Value.(string)
		if !ok {
			return nil, errors.New("a bundle's maps are from paths to paths")
		}
		out = append(out, File{local(s), item.Key})
	}
	return out, nil
}
