package receive_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/remote/process"
	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/receive"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

// FuzzSession says anything to the far side: it ends, and writes nothing outside of its directory.
func FuzzSession(f *testing.F) {
	for _, form := range []byte{workspace.Same, workspace.Changes, workspace.Whole} {
		var said bytes.Buffer
		w := workspace.NewWriter(&said, nil)
		tr := tree{"a": "1", "d/l": "->../a"}.write(f)
		err := w.Announce(&workspace.Announce{Version: workspace.Version, Key: "w", Who: "the fuzzer"})
		if err == nil {
			err = w.Tree(&workspace.Tree{ID: tr.ID, Form: form, Entries: tr.Entries, Removed: []string{"b"}, Hidden: []string{"c"}})
		}
		if err == nil {
			err = w.Content(tr.Entries[0].Sum, 1)
		}
		if err == nil {
			_, err = w.Write([]byte("1"))
		}
		if err == nil {
			err = w.Go()
		}
		if err != nil {
			f.Fatal(err)
		}
		f.Add(said.Bytes())
	}
	for i, op := range []func(*workspace.Writer) error{
		func(w *workspace.Writer) error { return w.Part(0) },
		func(w *workspace.Writer) error { return w.Literal([]byte("1")) },
		func(w *workspace.Writer) error { return w.Literal(nil) },
	} {
		var said bytes.Buffer
		w := workspace.NewWriter(&said, nil)
		tr := tree{"a": strings.Repeat("1", 2<<20)}.write(f)
		err := w.Announce(&workspace.Announce{Version: workspace.Version, Key: "w", Who: "the fuzzer", Parts: true})
		if err == nil {
			err = w.Tree(&workspace.Tree{ID: tr.ID, Form: workspace.Whole, Entries: tr.Entries})
		}
		if err == nil {
			err = w.Go()
		}
		if err == nil {
			err = w.Parts(tr.Entries[0].Sum, int64(i))
		}
		if err = errors.Join(err, op(w), w.Go()); err != nil {
			f.Fatal(err)
		}
		f.Add(said.Bytes())
	}
	f.Add([]byte(scan.Entry{}.Path))
	f.Fuzz(func(t *testing.T, said []byte) {
		top := t.TempDir()
		conn := receive.New(process.New(process.Options{}), receive.Options{Dir: filepath.Join(top, "in", "spaces")})
		defer conn.Close()
		c, err := conn.Workspace(t.Context(), "token")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go func() {
			_, _ = c.Write(said)
			_ = c.(interface{ CloseWrite() error }).CloseWrite()
		}()
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, c); os.IsTimeout(err) {
			t.Fatal("it does not end")
		}
		all, err := os.ReadDir(top)
		if err != nil || len(all) > 1 {
			t.Errorf("beside its directory there is %v, %v", all, err)
		}
	})
}
