package tree_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/remote/tree"
)

// TestFailures: of many a few are named, and the others counted.
func TestFailures(t *testing.T) {
	var f tree.Failures
	if f.Err() != nil {
		t.Error("no failure is one")
	}
	for n := range 250 {
		f.Add(&tree.FileError{Path: fmt.Sprint("file", n), Err: tree.ErrPipe})
	}
	text := f.Err().Error()
	if len(text) > 1000 || !strings.Contains(text, "file0: is a named pipe") || !strings.HasSuffix(text, "and 240 more") {
		t.Errorf(
			"text = %q"+
				`; want len(text) <= 1000 and text with "file0: is a named pipe" and `+
				`strings.HasSuffix(text, "and 240 more")`,
			text,
		)
	}
}
