package postgres

import (
	"encoding/hex"
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
