package usage

import "strings"

// maxOutput is how much of a program's output is kept.
const maxOutput = 4096

// A Tail keeps the last 4096 bytes of what is written to it. It is for one goroutine at a time.
type Tail struct {
	data []byte
	cut  bool
}

// Write keeps the end of all.
func (t *Tail) Write(p []byte) (int, error) {
	n := len(p)
	if n > maxOutput {
		p, t.data, t.cut = p[n-maxOutput:], nil, true
	}
	t.data = append(t.data, p...)
	if over := len(t.data) - maxOutput; over > 0 {
		t.data, t.cut = t.data[:copy(t.data, t.data[over:])], true
	}
	return n, nil
}

// String is what is kept, as text.
func (t *Tail) String() string {
	text := strings.ToValidUTF8(strings.TrimSpace(string(t.data)), "\ufffd")
	if t.cut {
		return "... " + text
	}
	return text
}
