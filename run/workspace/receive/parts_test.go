package receive_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/hostler-project/hostler/run/workspace/receive"
	"github.com/hostler-project/hostler/run/workspace/send"
)

// noise are bytes that cannot be packed.
func noise(r *rand.ChaCha8, n int) []byte {
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}

// TestParts changes a large file in several ways: of it only what differs crosses the wire,
// whatever a command has made of it there.
func TestParts(t *testing.T) {
	s := open(t, receive.Options{})
	from := rand.NewChaCha8([32]byte{3})
	r := rand.New(from)
	body := noise(from, 2<<20)
	opt := send.Options{Compress: true, State: filepath.Join(t.TempDir(), "state")}
	s.sync(t, tree{"large": string(body), "small": "1"}.write(t), opt)
	at := func() int { return r.IntN(len(body)) }
	for _, step := range []struct {
		name string
		edit func()
		most int64 // bytes that are sent
	}{
		{"overwritten", func() { copy(body[at():], "other") }, 600 << 10},
		{"inserted", func() { body = slices.Insert(body, at(), noise(from, 1000)...) }, 600 << 10},
		{"removed", func() { i := at(); body = slices.Delete(body, i, min(i+5000, len(body))) }, 600 << 10},
		{"longer", func() { body = append(body, noise(from, 5000)...) }, 600 << 10},
		{"the same, and another there", func() {
			err := os.WriteFile(filepath.Join(s.space("w"), "large"), slices.Concat([]byte("in front"), body), 0o600)
			if err != nil {
				t.Fatal(err)
			}
		}, 600 << 10},
		{"another", func() { body = noise(from, 3<<19) }, 3<<19 + 64<<10},
		{"a small one", func() { body = noise(from, 1000) }, 64 << 10},
		{"large again", func() { body = noise(from, 3<<19) }, 3<<19 + 64<<10},
	} {
		step.edit()
		want := tree{"large": string(body), "small": "1"}
		res := s.sync(t, want.write(t), opt)
		if want.expect(t, s.space("w")); t.Failed() {
			t.Fatal(step.name)
		}
		if res.Sent > step.most || res.Turns > 2 {
			t.Errorf("%s: %d bytes were sent, in %d turns", step.name, res.Sent, res.Turns)
		}
	}
}

// TestPartsChanged has the earlier file be changed after its chunks were told: all is sent.
func TestPartsChanged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spaces")
	var armed atomic.Bool
	name := filepath.Join(dir, "w", "large")
	s := open(t, receive.Options{Dir: dir, Fault: func(step string) error {
		if step != "asked" || !armed.Swap(false) {
			return nil
		}
		return errors.Join(os.Truncate(name, 1<<20), os.WriteFile(name, []byte("a command was here"), 0o600))
	}})
	from := rand.NewChaCha8([32]byte{5})
	body := noise(from, 2<<20)
	s.sync(t, tree{"large": string(body)}.write(t), send.Options{Compress: true})
	copy(body[1<<20:], "other")
	armed.Store(true)
	want := tree{"large": string(body), "new": "1"}
	res := s.sync(t, want.write(t), send.Options{Compress: true})
	if want.expect(t, s.space("w")); armed.Load() || res.Turns != 3 {
		t.Errorf("%d turns, and the change waits: %v", res.Turns, armed.Load())
	}
}
