package cfg

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// maxSize is the size in bytes of the largest file that is read.
const maxSize = 4 << 20

// A File is a configuration file.
type File struct {
	Path     string
	sections map[string]map[string]value
	order    []string // of the sections
}

// value is a key's as it stands in the file.
type value struct {
	key  string // as it was written
	text string
	line int
}

// An Error is a fault in a file, with its place.
type Error struct {
	Path         string
	Line         int // 0: the key is not there, and should be
	Section, Key string
	Reason       string
}

// Error is one line of text: the file, the line, the key and its section if known, and the reason.
func (e *Error) Error() string {
	text := e.Path
	if e.Line > 0 {
		text += fmt.Sprintf(", line %d", e.Line)
	}
	if e.Key != "" {
		text += fmt.Sprintf(": %s in [%s]", e.Key, e.Section)
		return text + " " + e.Reason
	}
	return text + ": " + e.Reason
}

// Read reads the file at path. One that cannot be read is the operating system's error.
func Read(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSize {
		return nil, &Error{Path: path, Reason: fmt.Sprintf("it has more than %d bytes", maxSize)}
	}
	return Parse(path, data)
}

// Parse reads the content of a file. Its path is for errors alone.
func Parse(path string, data []byte) (*File, error) {
	f := &File{Path: path, sections: map[string]map[string]value{}}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	p := parser{f: f}
	for n, line := range strings.Split(string(data), "\n") {
		if reason := p.line(n+1, line); reason != "" {
			return nil, &Error{Path: path, Line: n + 1, Reason: reason}
		}
	}
	for _, of := range f.sections {
		for key, v := range of {
			v.text = strings.TrimRight(v.text, "\n")
			of[key] = v
		}
	}
	return f, nil
}

// parser is where in a file the reading is.
type parser struct {
	f       *File
	section string // "": before the first
	key     string // of the value that may go on; "": none
	indent  int    // of the key's line
}

// line parses a line, and returns what is wrong with it, or "".
func (p *parser) line(n int, line string) string {
	line = strings.TrimRight(line, " \t\r\f\v")
	if !utf8.ValidString(line) || strings.ContainsRune(line, 0) {
		return "it is not text in UTF-8"
	}
	text := strings.TrimLeft(line, " \t\f\v")
	indent := len(line) - len(text)
	switch {
	case text == "":
		if p.key != "" {
			p.more("")
		}
	case text[0] == '#' || text[0] == ';':
	case p.key != "" && indent > p.indent:
		p.more(text)
	case text[0] == '[':
		// as the reference's parser: a URL in a name may have an address in brackets
		end := strings.LastIndexByte(text, ']')
		if end <= 1 {
			return "a section is written [name]"
		}
		name := text[1:end]
		p.section, p.key = name, ""
		if p.f.sections[name] == nil {
			p.f.sections[name] = map[string]value{}
			p.f.order = append(p.f.order, name)
		}
	case p.section == "":
		return "it stands before the first [section]"
	default:
		at := strings.IndexAny(text, "=:")
		if at < 0 {
			return "neither a section nor KEY = VALUE"
		}
		name := strings.TrimSpace(text[:at])
		if name == "" {
			return "there is no key before " + text[at:at+1]
		}
		key := fold(name)
		if before, again := p.f.sections[p.section][key]; again {
			return fmt.Sprintf("%s in [%s] is in line %d already", name, p.section, before.line)
		}
		p.f.sections[p.section][key] = value{key: name, text: strings.TrimSpace(text[at+1:]), line: n}
		p.key, p.indent = key, indent
	}
	return ""
}

// more goes on with a value.
func (p *parser) more(text string) {
	v := p.f.sections[p.section][p.key]
	v.text += "\n" + text
	p.f.sections[p.section][p.key] = v
}

// fold makes one of the ways in which a key is written.
func fold(key string) string { return strings.ToLower(strings.ReplaceAll(key, "-", "_")) }
