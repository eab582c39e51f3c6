package container_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/container"
)

// frame is a piece of a stream as engines send it.
func frame(stream byte, text string) string {
	head := [8]byte{stream}
	binary.BigEndian.PutUint32(head[4:], uint32(len(text)))
	return string(head[:]) + text
}

func TestStreams(t *testing.T) {
	for _, c := range []struct {
		name, in  string
		out, said string
		err       string // "": the end of the stream
	}{
		{"nothing", "", "", "", ""},
		{"both", frame(1, "HsAg") + frame(2, "a\nb") + frame(1, "") + frame(1, "xyz"), "HsAgxyz", "a b", ""},
		{"cut in a head", frame(1, "HsAg") + "\x01\x00", "HsAg", "\x01", "\x01"},
		{"cut in a piece", frame(1, "HsAg")[:10], "Hs", "", ""},
		{"no pieces", "OCI runtime exec failed: no such file\r\n", "", "OCI runtime exec failed", "OCI runtime exec failed: no such file"},
		{"too long", "\x01\x00\x00\x00\xff\xff\xff\xffabc", "", "abc", "abc"},
		{"the engine's own", frame(3, "it is gone"), "", "it is gone", "it is gone"},
		{"no agent", frame(1, "unable to find user x\x1b[31m"), "unable to find user x\x1b[31m", "unable to find user x [31m", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			far, near := net.Pipe()
			go func() { io.WriteString(far, c.in); far.Close() }()
			out, said, err := container.ReadStreams(near)
			near.Close()
			if out != c.out || !strings.Contains(said, strings.Trim(c.said, "\x01")) || strings.ContainsRune(said, 27) {
				t.Errorf("out %q, said %q", out, said)
			}
			if c.err == "" && err != nil && !errors.Is(err, io.ErrUnexpectedEOF) || c.err != "" && err == nil {
				t.Errorf("err %v, want %q", err, c.err)
			}
		})
	}
}

func FuzzStreams(f *testing.F) {
	f.Add([]byte(frame(1, "HsAg") + frame(2, "a")))
	f.Add([]byte("OCI runtime exec failed"))
	f.Fuzz(func(t *testing.T, in []byte) {
		far, near := net.Pipe()
		go func() { far.Write(in); far.Close() }()
		out, said, _ := container.ReadStreams(near)
		near.Close()
		if len(out) > len(in) || len(said) > 2*len(in)+8192 {
			t.Errorf("%d bytes became %d and %d", len(in), len(out), len(said))
		}
		if text, err := container.Unframe(bytes.NewReader(in)); err != nil || len(text) > len(in) {
			t.Errorf("%d bytes became %d: %v", len(in), len(text), err)
		}
	})
}

func TestKinds(t *testing.T) {
	for text, kind := range map[string]error{
		"write /x: no space left on device": compute.ErrNoCapacity,
		"driver failed programming external connectivity: Bind for 127.0.0.1:80 failed: port is already allocated": compute.ErrNoCapacity,
		"crun: setrlimit `RLIMIT_NOFILE`: Operation not permitted: OCI permission denied":                          compute.ErrInvalid,
		"hybrid mode not supported": compute.ErrUnavailable,
		"--storage-opt is supported only for overlay over xfs with 'pquota' mount option": compute.ErrInvalid,
		"exec container process `/.hostler-agent`: Exec format error":                     compute.ErrInvalid,
		"anything else": compute.ErrFailed,
	} {
		if got := container.KindOf(errors.New(text)); got != kind {
			t.Errorf("%s: %v, want %v", text, got, kind)
		}
	}
}

// TestNobodyThere: a Create that never reached an engine has made nothing, and says so.
func TestNobodyThere(t *testing.T) {
	p, err := container.Open(
		t.Context(), nil,
		container.Options{Source: "suite", Installation: "mine", Image: "x", Socket: filepath.Join(t.TempDir(), "nope.sock")},
	)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Create(t.Context(), compute.Spec{ID: "one"})
	if !errors.Is(err, compute.ErrUnavailable) || !provider.WasUnasked(err) {
		t.Errorf("Create: %v, unasked: %v", err, provider.WasUnasked(err))
	}
	if err := p.Destroy(t.Context(), "one"); !errors.Is(err, compute.ErrUnavailable) || errors.Is(err, compute.ErrNotFound) {
		t.Errorf("Destroy claims to know: %v", err) // of what was made earlier
	}
}
