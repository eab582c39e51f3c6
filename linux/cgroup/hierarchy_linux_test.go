package cgroup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/linux/cgroup"
)

// Each system of testdata is two files of /proc and what is to be understood: hierarchies that are
// mounted, our own group and those above it.
func TestParse(t *testing.T) {
	all, err := filepath.Glob("testdata/*.want")
	if err != nil || len(all) < 6 {
		t.Fatalf("all = %v, err = %v; want no error and len(all) >= 6", all, err)
	}
	for _, want := range all {
		base := strings.TrimSuffix(want, ".want")
		t.Run(filepath.Base(base), func(t *testing.T) {
			var text [3]string
			for i, name := range []string{base + ".mountinfo", base + ".cgroup", want} {
				b, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				text[i] = string(b)
			}
			if got := cgroup.Parsed(text[0], text[1]); got != text[2] {
				t.Errorf("got\n%swant\n%s", got, text[2])
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1 2 0:3 / /a rw - cgroup cgroup rw,memory", "1:memory:/a")
	f.Add("1 2 0:3 / /a\\1 rw - cgroup2 cgroup2 rw", "0::/../a")
	f.Fuzz(func(t *testing.T, mountinfo, groups string) { cgroup.Parsed(mountinfo, groups) })
}
