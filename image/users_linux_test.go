package image_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/image/layer"
)

const passwd = `root:x:0:0:root:/root:/bin/sh
# a comment
web:x:33:44:Web,,,:/var/www:/bin/false
nohome:x:35:35:::
broken
negative:x:-1:-1::/:/bin/sh
1000:x:77:77:a name of digits:/digits:/bin/sh
user:x:1000:1000::/home/user:/bin/bash
`

const group = `root:x:0:
www:x:44:
data:x:50:web,user
more:x:60:other,web
users:x:100:web
`

// stack makes layers of directories by hand: a map a layer, bottom first, from names to text, "->
// target" for a link, "gone" for a whiteout.
func stack(t testing.TB, layers ...map[string]string) (dirs []string) {
	t.Helper()
	for _, files := range layers {
		dir := t.TempDir()
		dirs = append(dirs, dir)
		for name, text := range files {
			file := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			var err error
			if to, ok := strings.CutPrefix(text, "-> "); ok {
				err = os.Symlink(to, file)
			} else if text == "gone" {
				err = syscall.Mknod(file, syscall.S_IFCHR, 0)
			} else {
				err = os.WriteFile(file, []byte(text), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return dirs
}

func TestLookupUser(t *testing.T) {
	full := stack(t, map[string]string{"etc/passwd": passwd, "etc/group": group})
	bare := stack(t, map[string]string{"bin/sh": ""})
	for _, c := range []struct {
		dirs []string
		spec string
		want image.User
		kind error
	}{
		{full, "", image.User{Name: "root", Home: "/root", Shell: "/bin/sh"}, nil},
		{full, "root", image.User{Name: "root", Home: "/root", Shell: "/bin/sh"}, nil},
		{full, "web", image.User{Name: "web", UID: 33, GID: 44, Groups: []int{50, 60, 100}, Home: "/var/www", Shell: "/bin/false"}, nil},
		{full, "33", image.User{Name: "web", UID: 33, GID: 44, Groups: []int{50, 60, 100}, Home: "/var/www", Shell: "/bin/false"}, nil},
		{full, "web:data", image.User{Name: "web", UID: 33, GID: 50, Home: "/var/www", Shell: "/bin/false"}, nil},
		{full, "web:7", image.User{Name: "web", UID: 33, GID: 7, Home: "/var/www", Shell: "/bin/false"}, nil},
		{full, "web:", image.User{Name: "web", UID: 33, GID: 44, Groups: []int{50, 60, 100}, Home: "/var/www", Shell: "/bin/false"}, nil},
		{full, "4242", image.User{UID: 4242, Home: "/"}, nil},
		{full, "4242:data", image.User{UID: 4242, GID: 50, Home: "/"}, nil},
		{full, "nohome", image.User{Name: "nohome", UID: 35, GID: 35, Home: "/"}, nil},
		{full, "1000", image.User{Name: "1000", UID: 77, GID: 77, Home: "/digits", Shell: "/bin/sh"}, nil},
		{full, "nobody", image.User{}, compute.ErrNotFound},
		{full, "web:none", image.User{}, compute.ErrNotFound},
		{full, "negative", image.User{}, compute.ErrNotFound},
		{full, "4294967295", image.User{}, compute.ErrNotFound},
		{bare, "", image.User{Home: "/"}, nil},
		{bare, "12:34", image.User{UID: 12, GID: 34, Home: "/"}, nil},
		{bare, "web", image.User{}, compute.ErrNotFound},
	} {
		got, err := image.LookupUser(c.dirs, c.spec)
		if !reflect.DeepEqual(got, c.want) || !errors.Is(err, c.kind) || (err != nil) != (c.kind != nil) {
			t.Errorf("%q: %+v %v, want %+v %v", c.spec, got, err, c.want, c.kind)
		}
	}
}

// TestReadThroughLayers reads as a mount of the layers would, and never what is outside of them.
func TestReadThroughLayers(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(outside, []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	const missing = "(missing)"
	for name, c := range map[string]struct {
		layers []map[string]string
		want   string
	}{
		"top wins":                    {[]map[string]string{{"etc/passwd": "low"}, {"etc/passwd": "high"}}, "high"},
		"from below":                  {[]map[string]string{{"etc/passwd": "low"}, {"etc/x": ""}}, "low"},
		"hidden":                      {[]map[string]string{{"etc/passwd": "low"}, {"etc/passwd": "gone"}}, missing},
		"hidden directory":            {[]map[string]string{{"etc/passwd": "low"}, {"etc": "gone"}}, missing},
		"hidden, and there again":     {[]map[string]string{{"etc/passwd": "low"}, {"etc/passwd": "gone"}, {"etc/passwd": "high"}}, "high"},
		"a file hides a directory":    {[]map[string]string{{"etc/passwd": "low"}, {"etc": "file"}, {"etc/x": ""}}, missing},
		"link in a layer":             {[]map[string]string{{"etc/passwd": "-> real", "etc/real": "yes"}}, "yes"},
		"link to another layer":       {[]map[string]string{{"usr/lib/passwd": "yes"}, {"etc/passwd": "-> ../usr/lib/passwd"}}, "yes"},
		"linked directory":            {[]map[string]string{{"system/passwd": "yes"}, {"etc": "-> /system"}}, "yes"},
		"absolute link":               {[]map[string]string{{"etc/passwd": "-> " + outside}}, missing},
		"link up":                     {[]map[string]string{{"etc/passwd": "-> ../../../../../../../.." + outside}}, missing},
		"loop":                        {[]map[string]string{{"etc/passwd": "-> passwd"}}, missing},
		"link to the root":            {[]map[string]string{{"etc/passwd": "-> /"}}, missing},
		"a directory":                 {[]map[string]string{{"etc/passwd/x": ""}}, missing},
		"links that climb and return": {[]map[string]string{{"etc/passwd": "-> ../../../../../../etc/real", "etc/real": "yes"}}, "yes"},
	} {
		b, err := layer.ReadIn(stack(t, c.layers...), "etc/passwd")
		got := string(b)
		if err != nil {
			got = missing
		}
		if got != c.want {
			t.Errorf("%s: %q %v, want %q", name, got, err, c.want)
		}
	}
	// What waits for a writer, or is a device, is not opened.
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "etc/passwd"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := image.LookupUser([]string{dir}, "web"); !errors.Is(err, compute.ErrFailed) {
		t.Errorf("a fifo: %v", err)
	}
}

func TestExamine(t *testing.T) {
	dir := t.TempDir()
	got := image.Examine(t.Context(), filepath.Join(dir, "not/yet"))
	if len(got) != 1 || got[0].Result != "ok" && got[0].Result != "warn" || got[0].What != "images" {
		t.Errorf(
			"got = %+v"+
				`; want len(got) == 1 and (got[0].Result == "ok" or got[0].Result == "warn") and `+
				`got[0].What == "images"`,
			got,
		)
	}
	if files, _ := os.ReadDir(dir); len(files) > 0 {
		t.Errorf("left: %v", files)
	}
	if got := image.Examine(t.Context(), "/proc/none"); len(got) != 1 || got[0].Result != "fail" || got[0].Hint == "" {
		t.Errorf(`got = %+v; want len(got) == 1 and got[0].Result == "fail" and got[0].Hint != ""`, got)
	}
}
