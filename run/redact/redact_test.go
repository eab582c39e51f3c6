package redact_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hostler-project/hostler/run/redact"
)

func TestString(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
		secrets          []string
	}{
		{"none", "text", "text", nil},
		{"empty ones", "text", "text", []string{"", ""}},
		{"in the midst", "a hunter2 b", "a *** b", []string{"hunter2"}},
		{"several, beside each other", "onetwoone", "*********", []string{"one", "two"}},
		{"the longest counts", "passwords", "***", []string{"pass", "passwords", "password"}},
		{"only a part of it", "hunter", "hunter", []string{"hunter2"}},
		{"a false beginning", "huhuhunter2", "huhu***", []string{"hunter2"}},
		{"overlapping", "xabcdey", "x***y", []string{"abc", "cde"}},
		{"within each other's", "xabcdey", "x***y", []string{"abcde", "bcd"}},
		{"overlapping itself", "aaa", "***", []string{"aa"}},
		{"one letter", "ab", "***b", []string{"a"}},
		{"several lines", "-\nBEGIN KEY\nabcdefghijk\n-", "-\n***\n-", []string{"BEGIN KEY\nabcdefghijk"}},
		{"its lines alone", "x abcdefghijk y BEGIN KEY", "x *** y ***", []string{"BEGIN KEY\nabcdefghijk\nno\n"}},
		{"with a terminal's line ends", "BEGIN\r\nabc\r\nEND\r\n", "***", []string{"BEGIN\nabc\nEND\n"}},
		{"bytes", "\x00\xff\xfe\x00", "\x00***\x00", []string{"\xff\xfe"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := redact.String(test.text, test.secrets); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// TestPieces: it makes no difference in which pieces the text comes, no secret is ever in what was
// handed on, and what is held back is less than the longest of them.
func TestPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.SliceOfN(rapid.SampledFrom([]byte("abc")), 0, 60)
		secrets := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune("abc")), 1, 6, -1), 0, 4).Draw(t, "secrets")
		text := string(letters.Draw(t, "text"))
		longest := 0
		for _, s := range secrets {
			longest = max(longest, len(s))
		}
		var out bytes.Buffer
		w := redact.NewWriter(&out, secrets)
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			if m, err := w.Write([]byte(rest[:n])); m != n || err != nil {
				t.Fatalf("m = %v, err = %v; want m == n and no error", m, err)
			}
			rest = rest[n:]
			done := text[:len(text)-len(rest)]
			whole := redact.String(done, secrets)
			if !strings.HasPrefix(whole, out.String()) {
				t.Fatalf("after %q: %q is no beginning of %q", done, &out, whole)
			}
			if len(secrets) == 0 && out.Len() != len(done) || len(whole)-out.Len() > 3*longest {
				t.Fatalf("after %q: %q is handed on", done, &out)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := redact.String(text, secrets); got != out.String() {
			t.Fatalf("in pieces %q, at once %q", &out, got)
		}
		for _, s := range secrets {
			if strings.Contains(out.String(), s) {
				t.Fatalf("%q has the secret %q", &out, s)
			}
		}
	})
}

func TestWriterFails(t *testing.T) {
	full := errors.New("full")
	w := redact.NewWriter(failing{full}, []string{"secret"})
	if _, err := w.Write([]byte("text")); !errors.Is(err, full) {
		t.Errorf("write: %v", err)
	}
	if err := w.Close(); !errors.Is(err, full) {
		t.Errorf("close: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func BenchmarkWriter(b *testing.B) {
	chunk := bytes.Repeat([]byte("some line of output of a test, as there are many\n"), 650)
	w := redact.NewWriter(failing{}, []string{"hunter2hunter2", "swordfish"})
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		_, _ = w.Write(chunk)
	}
}
