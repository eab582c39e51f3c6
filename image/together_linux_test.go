package image_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
)

// again is this test's program as another process.
func again(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(exe, args...)
}

// TestTogether pulls one image by several processes and goroutines at once: each layer is fetched
// once.
func TestTogether(t *testing.T) {
	w, s := serve(t), open(t)
	var layers []v1.Layer
	for i := range 4 {
		layers = append(layers, entriesLayer(t, file(fmt.Sprint("f", i), noise(200<<10))))
	}
	img := imageOf(t, "", layers...)
	ref := w.push(t, "together", img)
	config, _ := img.ConfigName()
	var mu sync.Mutex
	fetched := map[string]int{}
	w.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if _, blob, ok := strings.Cut(r.URL.Path, "/blobs/"); ok && r.Method == http.MethodGet {
			mu.Lock()
			fetched[blob]++
			mu.Unlock()
			time.Sleep(20 * time.Millisecond)
		}
		return false
	})
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			if i%2 == 0 {
				if _, err := s.Pull(t.Context(), ref, image.PullOptions{}); err != nil {
					t.Error(err)
				}
			} else if out, err := again(t, "child-pull", s.Dir(), ref).CombinedOutput(); err != nil {
				t.Errorf("%v: out = %s; want no error", err, out)
			}
		})
	}
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	for blob, n := range fetched {
		if n != 1 && blob != config.String() {
			t.Errorf("%s was fetched %d times", blob, n)
		}
	}
	if l := leftovers(t, s); len(l) > 0 {
		t.Errorf("left: %q", l)
	}
}

// TestKilled kills a process that pulls after each number of milliseconds: what is found then is
// whole, and the next pull ends well and leaves nothing.
func TestKilled(t *testing.T) {
	w := serve(t)
	img := imageOf(t, "", entriesLayer(t, file("a", noise(300<<10))), entriesLayer(t, file("b", noise(300<<10)), file("c", "c")))
	ref := w.push(t, "killed", img)
	bodies := [][]byte{compressed(t, img, 0), compressed(t, img, 1)}
	started := make(chan struct{}, 100)
	w.intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		select {
		case started <- struct{}{}:
		default:
		}
		if r.Method == http.MethodGet && (isLayerOf(img, 0, r.URL.Path) || isLayerOf(img, 1, r.URL.Path)) {
			n := 0
			if isLayerOf(img, 1, r.URL.Path) {
				n = 1
			}
			body := bodies[n]
			rw.Header().Set("Content-Length", fmt.Sprint(len(body)))
			for part := range slices.Chunk(body, 32<<10) { // slowly, so that there is a middle
				if _, err := rw.Write(part); err != nil {
					return true
				}
				rw.(http.Flusher).Flush()
				time.Sleep(3 * time.Millisecond)
			}
			return true
		}
		return false
	})
	halves, wholes := 0, 0
	for ms := range 24 {
		s := open(t)
		for len(started) > 0 {
			<-started
		}
		cmd := again(t, "child-pull", s.Dir(), ref)
		var out bytes.Buffer
		cmd.Stderr = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-started
		time.Sleep(time.Duration(ms*2) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		half, _ := filepath.Glob(filepath.Join(s.Dir(), "layers/new-*"))
		if len(half) > 0 {
			halves++
		}
		got, err := s.Find(ref)
		switch {
		case err == nil:
			wholes++
			if len(read(t, got, "a")) != 300<<10 || len(read(t, got, "b")) != 300<<10 || read(t, got, "c") != "c" {
				t.Errorf("after %d ms half an image counts", ms)
			}
		case !errors.Is(err, compute.ErrNotFound):
			t.Errorf("after %d ms: %v", ms, err)
		}
		if got, err = s.Pull(t.Context(), ref, image.PullOptions{}); err != nil || len(read(t, got, "a")) != 300<<10 {
			t.Errorf("the pull after that: %v", err)
		}
		if _, err := s.GC(t.Context(), image.GCOptions{}); err != nil {
			t.Error(err)
		}
		if l, _ := filepath.Glob(filepath.Join(s.Dir(), "layers/*-*-*")); len(l) > 0 {
			t.Errorf("left: %q", l)
		}
	}
	t.Logf("of 24 kills %d left a layer half-made, %d came too late", halves, wholes)
	if halves == 0 {
		t.Error("no kill came in the middle, so this showed nothing")
	}
}

// TestUse has images go that nobody uses, and no others.
func TestUse(t *testing.T) {
	w, s := serve(t), open(t)
	common := entriesLayer(t, file("common", "x"))
	one := w.push(t, "one", imageOf(t, "", common, entriesLayer(t, file("one", "1"))))
	other := w.push(t, "other", imageOf(t, "", common, entriesLayer(t, file("other", "22"))))
	instance := t.TempDir() + "/instance"
	if err := os.Mkdir(instance, 0o700); err != nil {
		t.Fatal(err)
	}
	a, err := s.Take(t.Context(), one, instance, image.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Pull(t.Context(), other, image.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if users, err := s.Users(a.Digest); err != nil || !slices.Equal(users, []string{instance}) {
		t.Errorf("users = %v err = %v; want no error and users == []string{instance}", users, err)
	}
	if err := s.Remove(t.Context(), one); !errors.Is(err, compute.ErrConflict) || !strings.Contains(err.Error(), instance) {
		t.Errorf("removed while it is used: %v", err)
	}
	dry, err := s.GC(t.Context(), image.GCOptions{Unused: true, DryRun: true})
	if err != nil || len(dry.Images) != 1 || dry.Images[0].Name != other || dry.Layers != 1 || dry.Size != 2 {
		t.Errorf(
			"dry = %+v err = %v"+
				"; want no error and len(dry.Images) == 1 and dry.Images[0].Name == other and dry.Layers "+
				"== 1 and dry.Size == 2",
			dry, err,
		)
	}
	for range 2 { // the first does it, the second has nothing to do
		if got, err := s.GC(t.Context(), image.GCOptions{OlderThan: time.Hour}); err != nil || len(got.Images)+got.Layers > 0 {
			t.Errorf("got = %+v err = %v; want no error and len(got.Images)+got.Layers <= 0", got, err)
		}
	}
	if got, err := s.GC(
		t.Context(), image.GCOptions{Unused: true, Keep: func(i image.Image) bool { return i.Name == other }},
	); err != nil || len(got.Images) > 0 {
		t.Errorf("kept ones went: %+v %v", got, err)
	}
	got, err := s.GC(t.Context(), image.GCOptions{Unused: true})
	if err != nil || len(got.Images) != 1 || got.Layers != 1 {
		t.Errorf("got = %+v err = %v; want no error and len(got.Images) == 1 and got.Layers == 1", got, err)
	}
	if read(t, a, "common") != "x" || read(t, a, "one") != "1" {
		t.Error("what is used went")
	}
	if _, err := os.Stat(b.Layers[1].Dir); err == nil {
		t.Error("what nobody uses is there still")
	}
	if err := s.Use(t.Context(), b.Digest, instance); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("use of what is gone: %v", err)
	}
	// The instance goes without a word, as after a crash: its mark counts no more.
	if err := os.Remove(instance); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), one); err != nil {
		t.Error(err)
	}
	if l, _ := filepath.Glob(filepath.Join(s.Dir(), "layers/*")); len(l) > 0 {
		t.Errorf("left: %q", l)
	}
	if err := s.Remove(t.Context(), one); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

func TestRelease(t *testing.T) {
	w, s, dir := serve(t), open(t), t.TempDir()
	ref := w.push(t, "x", two(t))
	for range 2 {
		img, err := s.Take(t.Context(), ref, dir, image.PullOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.Release(img.Digest, dir); err != nil {
				t.Error(err)
			}
		}
		if users, _ := s.Users(img.Digest); len(users) > 0 {
			t.Errorf("users = %q; want len(users) <= 0", users)
		}
	}
	// Names: two for one image, and one that moves on to another.
	second := w.push(t, "y", two(t))
	if _, err := s.Pull(t.Context(), second, image.PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if all, err := s.List(); err != nil || len(all) != 2 {
		t.Errorf("all = %v err = %v; want no error and len(all) == 2", all, err)
	}
	if err := s.Remove(t.Context(), ref); err != nil {
		t.Error(err)
	}
	if _, err := s.Find(second); err != nil {
		t.Errorf("one name went, and the image with it: %v", err)
	}
	w.push(t, "y", imageOf(t, "", entriesLayer(t, file("new", "x"))))
	if _, err := s.Pull(t.Context(), second, image.PullOptions{}); err != nil {
		t.Fatal(err)
	}
	all, err := s.List()
	if err != nil || len(all) != 2 || all[0].Name != "" {
		t.Errorf(`all = %+v err = %v; want no error and len(all) == 2 and all[0].Name == ""`, all, err)
	}
	if got, err := s.GC(t.Context(), image.GCOptions{}); err != nil || len(got.Images) != 1 || got.Layers != 2 {
		t.Errorf("got = %+v err = %v; want no error and len(got.Images) == 1 and got.Layers == 2", got, err)
	}
	if err := s.Touch(all[0].Digest); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("err = %v; want error compute.ErrNotFound", err)
	}
}

// TestGCMeanwhile collects while others pull: nobody's layers go from under him.
func TestGCMeanwhile(t *testing.T) {
	w, s := serve(t), open(t)
	var refs []string
	for i := range 3 {
		refs = append(
			refs,
			w.push(t, fmt.Sprint("i", i), imageOf(t, "", entriesLayer(t, file("common", "x")), entriesLayer(t, file(fmt.Sprint(i), "y")))),
		)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.GC(t.Context(), image.GCOptions{Unused: true}); err != nil {
				t.Errorf("gc: %v", err)
			}
		}
	})
	var pulls sync.WaitGroup
	for i, ref := range refs {
		pulls.Go(func() {
			for n := range 40 {
				dir := filepath.Join(t.TempDir(), fmt.Sprint(n))
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Error(err)
				}
				img, err := s.Take(t.Context(), ref, dir, image.PullOptions{})
				if err != nil {
					t.Error(err)
					continue
				}
				if read(t, img, "common") != "x" || read(t, img, fmt.Sprint(i)) != "y" {
					t.Error("it is not whole")
				}
				if err := s.Release(img.Digest, dir); err != nil {
					t.Error(err)
				}
			}
		})
	}
	pulls.Wait()
	close(stop)
	wg.Wait()
}

// TestPowerLoss starts the machine anew before the disk had it all.
func TestPowerLoss(t *testing.T) {
	w, s, dir := serve(t), open(t), t.TempDir()
	lost := w.push(t, "lost", imageOf(t, "", entriesLayer(t, file("l", "x"))))
	kept := w.push(t, "kept", imageOf(t, "", entriesLayer(t, file("k", "x"))))
	safe := w.push(t, "safe", imageOf(t, "", entriesLayer(t, file("s", "x"))))
	if _, err := s.Pull(t.Context(), safe, image.PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pull(t.Context(), lost, image.PullOptions{Unsynced: true}); err != nil {
		t.Fatal(err)
	}
	img, err := s.Take(t.Context(), kept, dir, image.PullOptions{Unsynced: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Release(img.Digest, dir); err != nil {
		t.Fatal(err)
	}
	s = openIn(t, s.Dir())
	s.SetBoot("another")
	for _, ref := range []string{safe, kept} {
		if _, err := s.Find(ref); err != nil {
			t.Errorf("what was on the disk: %v", err)
		}
	}
	if _, err := s.Find(lost); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("what may be half on the disk counts: %v", err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir(), "names", "cut.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Pull(t.Context(), lost, image.PullOptions{Unsynced: true}); err != nil || read(t, got, "l") != "x" {
		t.Errorf(`err = %v; want no error and read(t, got, "l") == "x"`, err)
	}
	if _, err := s.GC(t.Context(), image.GCOptions{}); err != nil {
		t.Error(err)
	}
	s.SetBoot("a third")
	if _, err := s.Find(lost); err != nil {
		t.Errorf("after gc, which waits for the disk: %v", err)
	}
	if names, _ := filepath.Glob(filepath.Join(s.Dir(), "names/*")); len(names) != 3 {
		t.Errorf("names: %q", names)
	}
	// A layer that somebody deleted by hand: the image is not here, and gc takes the rest of it.
	img, err = s.Find(lost)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Dir(img.Layers[0].Dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find(lost); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("err = %v; want error compute.ErrNotFound", err)
	}
	if _, err := s.GC(t.Context(), image.GCOptions{}); err != nil {
		t.Error(err)
	}
	if files, _ := filepath.Glob(filepath.Join(s.Dir(), "images/*")); len(files) != 2 {
		t.Errorf("records: %q", files)
	}
	if got, err := s.Pull(t.Context(), lost, image.PullOptions{}); err != nil || read(t, got, "l") != "x" {
		t.Errorf(`err = %v; want no error and read(t, got, "l") == "x"`, err)
	}
}

// TestSweep lays about what killed processes leave.
func TestSweep(t *testing.T) {
	s := open(t)
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{
		"layers/new-sha256-aa-bb/fs/shut/x", "layers/old-sha256-aa-bb/fs/x", "tmp/new-1", "tmp/new-2/fs/x",
		"images/sha256-aa.top/fs/x", "tmp/new-young",
	} {
		file := filepath.Join(s.Dir(), name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"tmp/new-1", "tmp/new-2"} {
		if err := os.Chtimes(filepath.Join(s.Dir(), name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(s.Dir(), "layers/new-sha256-aa-bb/fs/shut"), 0); err != nil {
		t.Fatal(err)
	}
	s.Sweep()
	var left []string
	for _, dir := range []string{"layers", "tmp", "images", "locks"} {
		files, _ := os.ReadDir(filepath.Join(s.Dir(), dir))
		for _, f := range files {
			left = append(left, dir+"/"+f.Name())
		}
	}
	if want := []string{"tmp/new-young", "locks/store"}; !slices.Equal(left, want) {
		t.Errorf("left: %q, want %q", left, want)
	}
}
