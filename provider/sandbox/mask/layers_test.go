//go:build linux

package mask_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/sandbox/mask"
)

// TestHoldRaces: of a layer that is held not a name is missing, whoever prunes meanwhile.
func TestHoldRaces(t *testing.T) {
	tree, layers := ground(t)
	h := newHost(t, tree)
	o := mask.Options{Home: "/root", Root: h.root}
	stop, pruned := make(chan bool), make(chan bool)
	go func() {
		defer close(pruned)
		for {
			select {
			case <-stop:
				return
			default:
				_ = mask.Prune(layers, time.Now().Add(time.Minute))
			}
		}
	}()
	held := 0
	for try := 0; held < 20 && try < 5000; try++ {
		m, err := mask.Make(t.Context(), layers, o)
		if err != nil {
			continue // it was pruned while it was made
		}
		fd, err := mask.Hold(m.Layer)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		held++
		for range 20 {
			if _, err := os.Lstat(m.Layer + "/etc/shadow-"); err != nil {
				t.Fatal(err)
			}
		}
		_ = unix.Close(fd)
	}
	close(stop)
	<-pruned
	if held == 0 {
		t.Error("none could be held")
	}
}

// TestManyAtOnce: any number of processes may make the same layer, and a stranger's directory is
// not used.
func TestManyAtOnce(t *testing.T) {
	tree, layers := ground(t)
	h := newHost(t, tree)
	o := mask.Options{Home: "/root", Root: h.root}
	got := make(chan string)
	for range 8 {
		go func() {
			m, err := mask.Make(t.Context(), layers, o)
			got <- fmt.Sprint(m.Layer, err)
		}()
	}
	first := <-got
	for range 7 {
		if next := <-got; next != first {
			t.Errorf("first = %s, next = %s; want next == first", first, next)
		}
	}
	entries, _ := os.ReadDir(layers)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "new-") {
			t.Errorf("left: %s", e.Name())
		}
	}
	if err := os.Chmod(layers, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := mask.Make(t.Context(), layers, o); err == nil {
		t.Error("a directory that all may write is used")
	}
	if err := os.Chmod(layers, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		giveTo(t, 12345, layers)
		if _, err := mask.Make(t.Context(), layers, o); err == nil {
			t.Error("a directory of somebody else's is used")
		}
		giveTo(t, 0, layers)
	}
	link := filepath.Join(filepath.Dir(layers), "link")
	if err := os.Symlink(layers, link); err != nil {
		t.Fatal(err)
	}
	if _, err := mask.Make(t.Context(), link, o); err == nil {
		t.Error("a link is used")
	}
}
