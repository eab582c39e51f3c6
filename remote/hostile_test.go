package remote_test

import (
	"archive/tar"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote"
)

// endless is a computer whose archives go on for ever after their end.
type endless struct{ compute.Conn }

func (l *endless) Get(ctx context.Context, _ string, w io.Writer) error {
	tw := tar.NewWriter(w)
	if err := tw.WriteHeader(&tar.Header{Name: "answer", Typeflag: tar.TypeReg, Size: 2, Mode: 0o644}); err != nil {
		return err
	}
	if _, err := io.WriteString(tw, "42"); err != nil {
		return err
	}
	if err := tw.Close(); err != nil {
		return err
	}
	for piece, sent := make([]byte, 64<<10), 0; sent < 1<<30; sent += len(piece) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// TestEndlessArchive: a computer that goes on after the end of an archive is not heard to its end,
// to a file and to standard output.
func TestEndlessArchive(t *testing.T) {
	conn, _ := far(t)
	for _, to := range []string{filepath.Join(t.TempDir(), "answer"), "-"} {
		err := remote.Copy(t.Context(), remote.Side{Conn: &endless{conn}, Path: "answer"}, remote.Side{Path: to}, remote.CopyOptions{})
		if err == nil || !strings.Contains(err.Error(), "goes on after the end") {
			t.Errorf(`%s: err = %v; want an error and err.Error() with "goes on after the end"`, to, err)
		}
	}
}
