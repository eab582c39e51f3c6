package shell

import (
	"strings"
	"sync"
)

// Tail keeps the last bytes that were written to it.
type Tail struct {
	mu   sync.Mutex
	kept []byte
}

const tailSize = 2048

// Write keeps the last tailSize bytes.
func (t *Tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if n := len(t.kept); n > tailSize {
		t.kept = append([]byte(nil), t.kept[n-tailSize:]...)
	}
	return len(b), nil
}

// LastLine is the last line that is not blank.
func (t *Tail) LastLine() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.kept)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// Text is all that was kept, in one line.
func (t *Tail) Text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.FieldsFunc(string(t.kept), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
