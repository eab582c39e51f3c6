package metalcmd

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestReadLine reads lines longer and shorter than the buffer, the last without an end, and refuses
// what is too long without reading all of it.
func TestReadLine(t *testing.T) {
	long := strings.Repeat("x", 99)
	r := bufio.NewReaderSize(strings.NewReader("a\n"+long+"\n\nend"), 16)
	for _, want := range []string{"a\n", long + "\n", "\n"} {
		if line, err := readLine(r, 100); err != nil || string(line) != want {
			t.Errorf("%q, %v; want %q", line, err, want)
		}
	}
	if line, err := readLine(r, 100); !errors.Is(err, io.EOF) || string(line) != "end" {
		t.Errorf("the last: %q, %v", line, err)
	}
	if _, err := readLine(bufio.NewReaderSize(endless{}, 16), 100); !errors.Is(err, errLongLine) {
		t.Errorf("a line without end: %v", err)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for n := range b {
		b[n] = 'x'
	}
	return len(b), nil
}
