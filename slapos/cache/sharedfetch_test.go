package cache_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hostler-project/hostler/slapos/cache"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// slowly is another cache, of one content, whose second half comes when it is told, or breaks off
// when it is asked so.
type slowly struct {
	text   string
	asked  atomic.Int64
	halves chan struct{} // closed: the rest may come
	url    string
}

func slow(t *testing.T, text string) *slowly {
	t.Helper()
	up := &slowly{text: text, halves: make(chan struct{})}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		up.asked.Add(1)
		_, _ = io.WriteString(w, up.text[:len(up.text)/2])
		_ = http.NewResponseController(w).Flush()
		select {
		case <-up.halves:
			_, _ = io.WriteString(w, up.text[len(up.text)/2:])
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	up.url = s.URL
	return up
}

// before is a cache that has the other one for what is not here.
func (up *slowly) before(t *testing.T) (near *depot, itself *cache.Server) {
	t.Helper()
	store, err := cache.OpenStore(cache.Options{URL: up.url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	near = &depot{content: t.TempDir(), metadata: t.TempDir()}
	itself = cache.Handler(cache.ServeOptions{Content: near.content, Metadata: near.metadata, UpstreamContent: store})
	t.Cleanup(itself.Close)
	s := httptest.NewServer(itself)
	t.Cleanup(s.Close)
	near.url = s.URL
	return near, itself
}

// begin asks for a content, and returns when as much has come as is there.
func (d *depot) begin(t *testing.T, digest string, much int) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+"/cache/"+digest, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	if _, err := io.ReadFull(answer.Body, make([]byte, much)); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("answer.Status = %v, err = %v; want no error and answer.StatusCode == http.StatusOK", answer.Status, err)
	}
	return answer
}

// A large content of a slow cache comes to who asks while it is fetched, is fetched once for all of
// them, and is kept though who asked first went.
func TestSlowUpstream(t *testing.T) {
	up := slow(t, strings.Repeat("large and slow. ", 12<<20/16))
	half, digest := len(up.text)/2, digestOf(up.text)
	near, _ := up.before(t)
	first := near.begin(t, digest, half)
	second := near.begin(t, digest, half)
	if err := first.Body.Close(); err != nil {
		t.Error(err)
	}
	if head, err := http.Head(near.url + "/cache/" + digest); err != nil || head.StatusCode != http.StatusOK {
		t.Errorf("head = %v, err = %v; want no error and head.StatusCode == http.StatusOK", head, err)
	}
	far := slow(t, "") // a chain of three
	far.url = near.url + "/cache"
	third, _ := far.before(t)
	last := third.begin(t, digest, half)
	close(up.halves)
	for _, answer := range []*http.Response{second, last} {
		if rest, err := io.ReadAll(answer.Body); err != nil || string(rest) != up.text[half:] {
			t.Errorf("%d bytes, %v", len(rest), err)
		}
	}
	for _, d := range []*depot{near, third} { // from here
		if code, text := d.ask(t, http.MethodGet, "/cache/"+digest, ""); code != http.StatusOK || text != up.text {
			t.Errorf("%d, %d bytes", code, len(text))
		}
		if files, err := os.ReadDir(d.content); err != nil || len(files) != 1 || files[0].Name() != digest {
			t.Errorf("files = %v, err = %v; want no error and len(files) == 1 and files[0].Name() == digest", files, err)
		}
	}
	if n := up.asked.Load(); n != 1 {
		t.Errorf("it was fetched %d times", n)
	}
}

// Who goes does not end what all others wait for, and nobody takes a part for the whole.
func TestFlightWithoutReaders(t *testing.T) {
	up := slow(t, strings.Repeat("x", 12<<20))
	digest := digestOf(up.text)
	near, _ := up.before(t)
	if err := near.begin(t, digest, 5<<20).Body.Close(); err != nil {
		t.Error(err)
	}
	close(up.halves)
	if code, text := near.ask(t, http.MethodGet, "/cache/"+digest, ""); code != http.StatusOK || text != up.text || up.asked.Load() != 1 {
		t.Errorf("%d, %d bytes, fetched %d times", code, len(text), up.asked.Load())
	}

	lie := slow(t, strings.Repeat("y", 12<<20))
	near, itself := lie.before(t)
	answer := near.begin(t, digest, 5<<20)
	close(lie.halves)
	if _, err := io.Copy(io.Discard, answer.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("another content ends with %v", err)
	}
	nothing(t, near.content)
	itself.Close()
	if code, _ := near.ask(t, http.MethodGet, "/cache/"+digest, ""); code != http.StatusBadGateway || lie.asked.Load() != 1 {
		t.Errorf("closed: %d, fetched %d times", code, lie.asked.Load())
	}
}

// A cache that is closed leaves nothing by halves.
func TestCloseInFlight(t *testing.T) {
	up := slow(t, strings.Repeat("z", 12<<20))
	near, itself := up.before(t)
	answer := near.begin(t, digestOf(up.text), 5<<20)
	if left, err := filepath.Glob(filepath.Join(near.content, ".new-*")); err != nil || len(left) != 1 {
		t.Errorf("left = %v, err = %v; want no error and len(left) == 1", left, err)
	}
	itself.Close()
	if _, err := io.Copy(io.Discard, answer.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	nothing(t, near.content)
	store, err := cache.OpenStore(cache.Options{URL: near.url + "/cache"})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Get(t.Context(), digestOf(up.text), io.Discard, 1<<30); !errors.Is(err, client.ErrRefused) {
		t.Errorf("afterwards: %v", err)
	}
}
