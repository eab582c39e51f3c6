package image_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/image/registry"
)

// TestMemoryOfDirectories: what an archive says of its directories, which waits in memory until
// they are filled, is bounded, whether it is names, attributes or directories that are only
// implied. What is of no use later is not kept, and what is said twice counts once.
func TestMemoryOfDirectories(t *testing.T) {
	image.KeepAtMost(t, 64<<10, 0)
	with := func(name, key string, size int) entry {
		e := dir(name)
		e.PAXRecords = map[string]string{key: strings.Repeat("v", size)}
		return e
	}
	for name, c := range map[string]struct {
		refused bool
		one     func(i int) entry
	}{
		"attributes": {true, func(i int) entry { return with(fmt.Sprint("d", i), "SCHILY.xattr.user.a", 6_000) }},
		"names": {true, func(i int) entry {
			return dir(strings.Repeat("n", 200) + "/" + strings.Repeat("n", 200) + fmt.Sprint(i))
		}},
		"implied":  {true, func(i int) entry { return file(fmt.Sprint(i)+strings.Repeat("/d", 30)+"/f", "") }},
		"comments": {false, func(i int) entry { return with(fmt.Sprint("d", i), "HOSTLER.comment", 6_000) }},
		"again":    {false, func(i int) entry { return with("d", "SCHILY.xattr.user.a", 2000+i%2) }},
		"few":      {false, func(i int) entry { return dir(fmt.Sprint("d", i)) }},
	} {
		t.Run(name, func(t *testing.T) {
			const n = 200
			var buf bytes.Buffer
			w := tar.NewWriter(&buf)
			for i := range n {
				e := c.one(i)
				e.Size = int64(len(e.body))
				if err := w.WriteHeader(&e.Header); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			err := image.Unpack(t.Context(), t.TempDir(), &buf, false)
			if (err != nil) != c.refused ||
				err != nil && !strings.Contains(err.Error(), "the directories up to here are more than 65536 bytes") {
				t.Errorf("%v; to be refused: %v", err, c.refused)
			}
		})
	}
}

// TestMemoryOfArchives: what is read of an image's archive to find its parts is bounded.
func TestMemoryOfArchives(t *testing.T) {
	image.KeepAtMost(t, 0, 100)
	many := func(link bool) (out []entry) {
		for i := range 102 {
			e := entry{tar.Header{Name: fmt.Sprint("blobs/", i), Typeflag: tar.TypeReg}, ""}
			if link {
				e.Typeflag, e.Linkname = tar.TypeSymlink, "x"
			}
			out = append(out, e)
		}
		return out
	}
	list, _ := json.Marshal([]any{map[string]any{
		"Config": "x.json", "Layers": []string{}, "RepoTags": []string{strings.Repeat("t", 17<<20)},
	}})
	for name, c := range map[string]struct {
		entries []entry
		said    string
	}{
		"list":  {[]entry{{tar.Header{Name: "manifest.json", Typeflag: tar.TypeReg}, string(list)}}, "manifest.json is of more than"},
		"links": {many(true), "more than 100 files"},
		"files": {many(false), "more than 100 files"},
		"name":  {[]entry{{tar.Header{Name: "blobs/" + strings.Repeat("n", 2000), Typeflag: tar.TypeReg}, ""}}, "a name of 2006 bytes"},
		"link name": {
			[]entry{{tar.Header{Name: "blobs/x", Typeflag: tar.TypeSymlink, Linkname: strings.Repeat("n", 2000)}, ""}},
			"a name of 2000 bytes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tmp := t.TempDir()
			at := filepath.Join(tmp, "x.tar")
			if err := os.WriteFile(at, archive(t, c.entries...), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := image.Open(filepath.Join(tmp, "store"), image.Options{Registry: registry.Client{}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Pull(t.Context(), "docker-archive:"+at, image.PullOptions{})
			if !errors.Is(err, compute.ErrFailed) || !strings.Contains(err.Error(), c.said) {
				t.Errorf("err = %.300v; want error compute.ErrFailed and err.Error() with c.said", err)
			}
		})
	}
}
