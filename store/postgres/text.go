package postgres

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// odd begins a text that PostgreSQL cannot hold as it is, and that follows in hexadecimal digits:
// with a zero byte in it, or not UTF-8. Such a text is written the same way each time, so it is
// found again.
const odd = "\x01hex:"

// encode writes a text so that PostgreSQL takes it.
func encode[T ~string](s T) string {
	if strings.IndexByte(string(s), 0) < 0 && !strings.HasPrefix(string(s), odd) && utf8.ValidString(string(s)) {
		return string(s)
	}
	return odd + hex.EncodeToString([]byte(s))
}

// decode reads what encode wrote.
func decode[T ~string](s T) T {
	if rest, ok := strings.CutPrefix(string(s), odd); ok {
		if b, err := hex.DecodeString(rest); err == nil {
			return T(b)
		}
	}
	return s
}

// pack writes small maps as JSON, and nothing as "".
func pack[T ~map[string]string](m T) string {
	switch len(m) {
	case 0:
		return ""
	case 1: // as nearly always, and then a word and a number
		for k, v := range m {
			if plain(k) && plain(v) {
				return `{"` + k + `":"` + v + `"}`
			}
		}
	}
	b, _ := json.Marshal(m) // a map of strings cannot fail
	return string(b)
}

// plain tells whether JSON writes a string as it is.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func unpack[T any](s string, to *T) error {
	if s == "" {
		return nil
	}
	return json.Unmarshal([]byte(s), to)
}
