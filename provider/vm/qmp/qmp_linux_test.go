package qmp_test

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/provider/vm/qmp"
)

// FuzzRead gives the reader of QMP whatever a broken qemu could say.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		`{"QMP": {}}` + "\n", `{"return": {}}` + "\r\n", `{"event": "STOP"}` + "\n",
		`{"error": {"class": "x", "desc": "y"}}` + "\n", "\n\n{}\n", "", "{", "null\n", "[1]\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := qmp.Read(bufio.NewReader(bytes.NewReader(b))); err == nil && !bytes.Contains(b, []byte{'\n'}) {
			t.Error("a message without an end was taken")
		}
	})
}

// TestReadLong refuses a line without an end.
func TestReadLong(t *testing.T) {
	if _, err := qmp.Read(bufio.NewReader(endless{})); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Error(err)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}
