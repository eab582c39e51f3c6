package run

import (
	"fmt"
	"strings"
)

// ParseEnv reads lines of NAME=VALUE into a map. Single quotes keep a value as it is. In double
// quotes, \n, \t, \", \\ and \$ have their usual meaning, and nothing else is expanded. Empty lines
// and comments with # are skipped.
func ParseEnv(text string, into map[string]string) error {
	for n, line := range strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(name, " \t\"'") || strings.ContainsRune(line, 0) {
			return fmt.Errorf("line %d: is not NAME=VALUE", n+1)
		}
		value = strings.TrimSpace(value)
		if value != "" && (value[0] == '"' || value[0] == '\'') {
			quote, body := value[0], value[1:]
			inner, rest, ok := cutQuoted(body, quote)
			if rest = strings.TrimSpace(rest); !ok || rest != "" && rest[0] != '#' {
				return fmt.Errorf("line %d: the value of %s has a quote that is not closed, or something behind it", n+1, name)
			}
			value = inner
		}
		into[name] = value
	}
	return nil
}

// cutQuoted splits a text at the closing quote.
func cutQuoted(s string, quote byte) (inner, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == quote:
			return b.String(), s[i+1:], true
		case c == '\\' && quote == '"' && i+1 < len(s):
			i++
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case '"', '\\', '$':
				b.WriteByte(s[i])
			default:
				b.WriteByte('\\')
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}
