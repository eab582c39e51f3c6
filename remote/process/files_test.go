package process_test

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func write(t *testing.T, name, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	old := time.Unix(1_000_000_000, 5)
	if err := os.Chtimes(name, old, old); err != nil {
		t.Fatal(err)
	}
}

// entriesOf makes a stream of one file, with its name as its contents.
func entriesOf(name string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(name))})
	_, _ = io.WriteString(w, name)
	_ = w.Close()
	return b.Bytes()
}

// beatsEnd fails the test unless nothing is written to the file any more, soon, after something
// was.
func beatsEnd(t *testing.T, file string) {
	t.Helper()
	t.Cleanup(func() { os.Remove(file) })
	for late := time.Now().Add(20 * time.Second); ; {
		before, err := os.Stat(file)
		if err != nil || before.Size() == 0 {
			t.Fatalf("the command wrote nothing: %v", err)
		}
		time.Sleep(time.Second) // a command that lived on would write meanwhile
		if after, err := os.Stat(file); err == nil && after.Size() == before.Size() {
			return
		}
		if time.Now().After(late) {
			t.Fatal("the command still runs on the host")
		}
	}
}
