//go:build linux

package sandbox_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox"
)

// TestCopyRaces copies in and out while a program inside changes directories into links and back:
// nothing lands, and nothing is read, where a link leads.
func TestCopyRaces(t *testing.T) { copyRaces(t) }

func TestCopyRacesAsUser(t *testing.T) {
	if asUser(t) {
		copyRaces(t)
	}
}

func copyRaces(t *testing.T) {
	j := newJail(t, sandbox.Options{})
	run := func(ctx context.Context, script string) (string, error) {
		var out bytes.Buffer
		_, err := j.conn.Run(ctx, &compute.Command{Args: []string{"/bin/sh", "-c", script}, Stdout: &out, Stderr: &out})
		return out.String(), err
	}
	if out, err := run(
		t.Context(), "mkdir -p /w/d /secret && echo secret-of-the-link >/secret/file && echo plain >/w/d/file",
	); err != nil || out != "" {
		t.Fatalf(`out = %s, err = %v; want no error and out == ""`, out, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	swapping := make(chan error, 1)
	go func() {
		_, err := run(ctx, "while :; do mv /w/d /w/e; ln -s /secret /w/d; rm /w/d; mv /w/e /w/d; done 2>/dev/null")
		swapping <- err
	}()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, name := range []string{"d/planted", "d/sub/planted"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: 1, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	in, out := 0, 0
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		// else it met a link, and said so
		if j.conn.Put(t.Context(), "/w", bytes.NewReader(archive.Bytes())) == nil {
			in++
		}
		var got bytes.Buffer
		if j.conn.Get(t.Context(), "/w", &got) == nil {
			out++
		}
		for r := tar.NewReader(&got); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) || err != nil {
				break
			}
			text, _ := io.ReadAll(r)
			if strings.Contains(string(text), "secret-of-the-link") {
				t.Fatalf("%s was read through a link", h.Name)
			}
		}
	}
	if got := j.try("", "by-name", "/w/d", "/secret", "secret-of-the-link"); got != "open" {
		t.Errorf("a copy that goes by names is not led astray, so this proves nothing: %s", got)
	}
	stop()
	if err := <-swapping; !errors.Is(err, context.Canceled) {
		t.Errorf("the race: %v", err)
	}
	if in == 0 || out == 0 {
		t.Errorf("%d copies in and %d out succeeded: that is no race", in, out)
	}
	if got, err := run(t.Context(), "ls /secret"); err != nil || got != "file\n" {
		t.Errorf("where the link leads there is %q, %v", got, err)
	}
	for _, name := range []string{"/secret", "/w"} {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("the host has %s", name)
		}
	}
}
