package cache_test

import (
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/slapos/cache"
)

// A cache whose disk is full says so (507), keeps nothing by halves, and takes what fits. With a
// size that fits the disk it makes room instead.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestFullDisk: only root can mount a small file system")
	}
	large, small := strings.Repeat("l", 2<<20), strings.Repeat("s", 400<<10)
	small2, small3 := strings.Repeat("t", 400<<10), strings.Repeat("u", 400<<10)
	far := serve(t, cache.ServeOptions{})
	if code, text := far.ask(t, http.MethodPost, "/cache", large); code != http.StatusCreated {
		t.Fatalf("code = %v, text = %v; want code == http.StatusCreated", code, text)
	}
	entries, contents := far.clients(t, nil)
	for size, want := range map[int64]int{0: http.StatusInsufficientStorage, 1000 << 10: http.StatusCreated} {
		d := serve(t, cache.ServeOptions{UpstreamContent: contents, UpstreamEntries: entries, Size: size})
		if err := syscall.Mount("tmpfs", d.content, "tmpfs", 0, "size=1m"); err != nil {
			t.Skipf("TestFullDisk: no file system can be mounted here: %v", err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(d.content, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		if size == 0 {
			if code, text := d.ask(t, http.MethodPost, "/cache", large); code != http.StatusInsufficientStorage ||
				!strings.Contains(text, "no room left") {
				t.Errorf(
					"code = %d text = %s"+
						`; want code == http.StatusInsufficientStorage and text with "no room left"`,
					code, text,
				)
			}
			if code, text := d.ask(t, http.MethodGet, "/cache/"+digestOf(large), ""); code != http.StatusInsufficientStorage {
				t.Errorf("of another cache: %d %s", code, text)
			}
			nothing(t, d.content)
		}
		for _, one := range []string{small, small2} {
			if code, text := d.ask(t, http.MethodPost, "/cache", one); code != http.StatusCreated {
				t.Errorf("code = %d text = %s; want code == http.StatusCreated", code, text)
			}
		}
		if code, text := d.ask(t, http.MethodPost, "/cache", small3); code != want {
			t.Errorf("with a size of %d: %d %s", size, code, text)
		}
		if files, err := os.ReadDir(d.content); err != nil || len(files) != 2 {
			t.Errorf("files = %v, err = %v; want no error and len(files) == 2", files, err)
		}
	}
}
