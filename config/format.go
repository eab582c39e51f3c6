package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"gopkg.in/ini.v1"
)

// Value is the text of a key and its place.
type Value struct {
	Key  string // as written
	Text string
	File string
	Line int // from 1
}

// entry is one key of a file.
type entry struct {
	section string // "" at the top and in [DEFAULT]
	Value
}

// maxFile is far more than any configuration needs.
const maxFile = 1 << 20

var bom = []byte("\ufeff")

// titles returns the sections of an INI file, also empty ones, each as an entry without a key.
// parse must accept the file.
func titles(file string, data []byte) []entry {
	text, _, _ := normalizeINI(file, bytes.TrimPrefix(data, bom))
	var all []entry
	for line := range strings.Lines(string(text)) {
		name, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "[") // no other line begins so
		if name = strings.TrimSuffix(name, "]"); ok && name != ini.DefaultSection {
			all = append(all, entry{name, Value{File: file}})
		}
	}
	return all
}

// parse reads the text of a file. yamlToo: the first line tells flat YAML from INI. A key given
// twice is an error; with lenient the last one counts, as in the former programs.
func parse(file string, data []byte, yamlToo, lenient bool) ([]entry, error) {
	data = bytes.TrimPrefix(data, bom)
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, &Error{File: file, Msg: "is not text in UTF-8"}
	}
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	// a line end to some readers only
	if i := bytes.IndexAny(data, "\r\u0085\u2028\u2029"); i >= 0 {
		return nil, &Error{File: file, Line: 1 + bytes.Count(data[:i], []byte("\n")), Msg: "has a line end that is not one everywhere"}
	}
	var entries []entry
	var err error
	if yamlToo && looksLikeYAML(data) {
		entries, err = parseYAML(file, data)
	} else {
		entries, err = parseINI(file, data)
	}
	if e, ok := errors.AsType[*Error](err); ok {
		// YAML may place an error one line below the last
		e.Line = min(e.Line, 1+bytes.Count(data, []byte("\n")))
		return nil, e
	}
	return unique(entries, lenient)
}

// looksLikeYAML looks at the first line with content: in an INI file it has a section or "=".
func looksLikeYAML(data []byte) bool {
	for line := range bytes.Lines(data) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0 || line[0] == '#' || line[0] == ';':
			continue
		case line[0] == '[':
			return false
		}
		i := bytes.IndexAny(line, "=:")
		return i < 0 || line[i] == ':'
	}
	return false
}

// unique removes repeated keys of a section, with "-" and "_" alike.
func unique(entries []entry, lenient bool) ([]entry, error) {
	at := map[string]int{}
	var out []entry
	for _, e := range entries {
		k := e.section + "\x00" + foldKey(e.Key)
		if i, ok := at[k]; ok {
			if !lenient {
				return nil, &Error{
					File: e.File, Line: e.Line, Key: e.Key,
					Msg: fmt.Sprintf("given a second time; the first is in line %d", out[i].Line),
				}
			}
			out[i] = e
			continue
		}
		at[k] = len(out)
		out = append(out, e)
	}
	return out, nil
}

// foldKey replaces "-" by "_". It leaves capital letters, as keys are lower case.
func foldKey(key string) string { return strings.ReplaceAll(key, "-", "_") }

// parseINI parses a file with ini.v1. That has no line numbers, so tidy finds them first and brings
// the text to a form with one reading.
func parseINI(file string, data []byte) ([]entry, error) {
	text, entries, err := normalizeINI(file, data)
	if err != nil {
		return nil, err
	}
	f, err := ini.LoadSources(ini.LoadOptions{
		IgnoreContinuation:         true, // a path may end in a backslash
		IgnoreInlineComment:        true, // tidy has removed them
		AllowPythonMultilineValues: true,
		// a value of several lines must fit into the buffer
		ReaderBufferSize: len(text) + 4096,
	}, text)
	if err != nil {
		return nil, &Error{File: file, Err: err}
	}
	for i, e := range entries {
		section := e.section
		if section == "" {
			section = ini.DefaultSection
		}
		key, err := f.Section(section).GetKey(e.Key)
		if err != nil {
			return nil, &Error{File: file, Line: e.Line, Key: e.Key, Msg: "cannot be read as a key"}
		}
		// of a repeated key this is the last value; unique handles that
		entries[i].Text = strings.TrimSpace(key.Value())
	}
	return entries, nil
}

// normalizeINI removes comments, blank lines and meaningless indentation, and returns the keys
// with their lines. A line indented deeper than its key continues the value, as in Python's
// ConfigParser. A comment begins with ";" or "#" at the start of a line or after white space,
// but not inside quotes around the whole value.
func normalizeINI(file string, data []byte) ([]byte, []entry, error) {
	var out bytes.Buffer
	var entries []entry
	section, indent, number, quoted := "", -1, 0, false
	for raw := range strings.Lines(string(data)) {
		number++
		raw = strings.TrimRight(raw, "\r\n")
		line := strings.TrimSpace(raw)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		bad := func(msg string) error { return &Error{File: file, Line: number, Msg: msg} }
		if strings.ContainsAny(line, "\r\v\f") {
			return nil, nil, bad("has a control character")
		}
		deep := len(raw) - len(strings.TrimLeft(raw, " \t"))
		if indent >= 0 && deep > indent {
			if quoted {
				return nil, nil, bad("goes on after a value that its quotes have ended")
			}
			out.WriteString("\t" + uncomment(line) + "\n")
			continue
		}
		if line[0] == '[' {
			name, rest, ok := header(line)
			if !ok || name == "" || uncomment(" "+rest) != "" {
				return nil, nil, bad("is not a [section]")
			}
			section, indent = name, -1
			if name == ini.DefaultSection {
				section = ""
			}
			out.WriteString("[" + name + "]\n")
			continue
		}
		i := strings.IndexAny(line, "=:")
		if i < 0 {
			return nil, nil, bad("is not KEY = VALUE")
		}
		key := strings.TrimSpace(line[:i])
		if key == "" || key == "-" || strings.ContainsAny(key, "\"'`") {
			return nil, nil, bad("has no key before the " + line[i:i+1])
		}
		indent = deep
		value := uncomment(" " + strings.TrimSpace(line[i+1:]))
		quoted = value != "" && strings.IndexByte("\"'`", value[0]) >= 0 && len(value) > 1 && value[len(value)-1] == value[0]
		if q := quoteOf(value); q != "" && (len(value) < 2*len(q) || !strings.HasSuffix(value, q)) {
			return nil, nil, bad("has a quote that is not closed in its line")
		}
		out.WriteString(key + " = " + value + "\n")
		entries = append(entries, entry{section, Value{Key: key, File: file, Line: number}})
	}
	return out.Bytes(), entries, nil
}

// header splits a line with a section into the name and what follows. Brackets in a name must
// match, as in [multimaster http://[::1]:5000/].
func header(line string) (name, rest string, ok bool) {
	deep := 0
	for i := range len(line) {
		switch line[i] {
		case '[':
			deep++
		case ']':
			if deep--; deep == 0 {
				return strings.TrimSpace(line[1:i]), line[i+1:], true
			}
		}
	}
	return "", "", false
}

// quoteOf returns the quote that ini.v1 would search for over several lines.
func quoteOf(value string) string {
	for _, q := range []string{`"""`, "`"} {
		if strings.HasPrefix(value, q) {
			return q
		}
	}
	return ""
}

// uncomment removes a comment at the end of a value.
func uncomment(s string) string {
	from := 0
	if t := strings.TrimLeft(s, " \t"); t != "" && strings.IndexByte("\"'`", t[0]) >= 0 {
		start := len(s) - len(t)
		if end := strings.IndexByte(s[start+1:], t[0]); end >= 0 {
			from = start + 1 + end
		}
	}
	for i := from + 1; i < len(s); i++ {
		if (s[i] == '#' || s[i] == ';') && (s[i-1] == ' ' || s[i-1] == '\t') {
			s = s[:i]
			break
		}
	}
	return strings.TrimSpace(s)
}

// parseYAML reads a flat mapping. Lists are joined with commas; anything deeper is an error.
func parseYAML(file string, data []byte) ([]entry, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		e := &Error{File: file, Msg: strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", " "), "yaml: ")}
		if n, _ := fmt.Sscanf(e.Msg, "line %d:", &e.Line); n == 1 {
			_, e.Msg, _ = strings.Cut(e.Msg, ": ")
		}
		return nil, e
	}
	if doc.Kind == 0 { // only comments
		return nil, nil
	}
	top := doc.Content[0]
	if top.Kind != yaml.MappingNode {
		return nil, &Error{File: file, Line: top.Line, Msg: "is not KEY: VALUE"}
	}
	var entries []entry
	for i := 0; i+1 < len(top.Content); i += 2 {
		k, v := top.Content[i], top.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			return nil, &Error{File: file, Line: k.Line, Msg: "is not a plain key"}
		}
		text, ok := scalar(v)
		if !ok && v.Kind == yaml.SequenceNode {
			var items []string
			for _, n := range v.Content {
				item, plain := scalar(n)
				if !plain {
					return nil, &Error{File: file, Line: n.Line, Key: k.Value, Msg: "is not a list of plain words"}
				}
				items = append(items, item)
			}
			text, ok = strings.Join(items, ", "), true
		}
		if !ok {
			return nil, &Error{File: file, Line: v.Line, Key: k.Value, Msg: "is neither a plain value nor a list of them"}
		}
		entries = append(entries, entry{"", Value{Key: k.Value, Text: text, File: file, Line: k.Line}})
	}
	return entries, nil
}

// scalar returns a YAML scalar as text. Null is "", and an integer is in decimal. False says
// that it is a list or a map.
func scalar(n *yaml.Node) (string, bool) {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode {
		return "", false
	}
	if n.Tag == "!!null" {
		return "", true
	}
	var i int64
	if n.Tag == "!!int" && n.Decode(&i) == nil { // 0x10 and 1_000 are numbers there
		return fmt.Sprint(i), true
	}
	return n.Value, true
}
