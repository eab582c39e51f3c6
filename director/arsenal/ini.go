package arsenal

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// setting is a key with its value, and the line that it begins in.
type setting struct {
	section, key, value string
	line                int
}

// parse reads oslo.config's form of INI:
//
//   - a comment is a line of its own;
//   - a line that begins with a space continues the value before it;
//   - = or : is between key and value;
//   - quotes around a value are removed, and $$ is $.
//
// An error names the line.
func parse(data []byte) (all []setting, err error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	section, open := "DEFAULT", false // open: a value may continue
	for n, line := range strings.Split(string(data), "\n") {
		n++
		line = strings.TrimRight(line, " \t\r")
		fail := func(what string) ([]setting, error) { return nil, fmt.Errorf("line %d: %s", n, what) }
		switch {
		case !utf8.ValidString(line) || strings.ContainsRune(line, 0):
			return fail("it is not text in UTF-8")
		case line == "":
			open = false
		case line[0] == ' ' || line[0] == '\t':
			if !open {
				return fail("it goes on with nothing: a key must not stand behind a space")
			}
			last := &all[len(all)-1]
			last.value += "\n" + strings.TrimSpace(line)
		case line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			if line[len(line)-1] != ']' || len(line) == 2 {
				return fail("a section is written [name]")
			}
			section, open = strings.TrimSpace(line[1:len(line)-1]), false
		default:
			at := strings.IndexAny(line, "=:")
			if at < 0 {
				return fail("neither a section nor KEY = VALUE")
			}
			key := strings.TrimSpace(line[:at])
			if key == "" {
				return fail("there is no key before " + line[at:at+1])
			}
			all = append(all, setting{section, key, strings.TrimSpace(line[at+1:]), n})
			open = true
		}
	}
	for i := range all {
		v := strings.TrimSpace(all[i].value)
		if len(v) > 1 && v[0] == v[len(v)-1] && (v[0] == '"' || v[0] == '\'') {
			v = v[1 : len(v)-1]
		}
		all[i].value = v
	}
	return all, nil
}
