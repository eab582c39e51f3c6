package software_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/runas"
	"github.com/hostler-project/hostler/slapos/node/software"
)

// blob puts content into an OCI layout.
func blob(t testing.TB, layout string, content []byte, kind string) map[string]any {
	t.Helper()
	sum := fmt.Sprintf("%x", sha256.Sum256(content))
	lies(t, layout, map[string]string{"blobs/sha256/" + sum: string(content)})
	return map[string]any{"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + sum, "size": len(content)}
}

// layout makes an image of layers.
func layout(t testing.TB, dir string, config map[string]any, layers ...func(add func(*tar.Header, string))) string {
	t.Helper()
	var diffs []string
	var all []any
	for i, fill := range layers {
		text, err := os.ReadFile(pack(t, fmt.Sprintf("%s-%d.tar", dir, i), fill))
		do(t, err)
		one := blob(t, dir, text, "layer.v1.tar")
		diffs, all = append(diffs, one["digest"].(string)), append(all, one)
	}
	write := func(v any) []byte {
		text, err := json.Marshal(v)
		do(t, err)
		return text
	}
	c := blob(
		t, dir,
		write(map[string]any{
			"architecture": "amd64", "os": "linux", "config": config,
			"rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
		}),
		"config.v1+json",
	)
	m := blob(
		t, dir,
		write(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": c, "layers": all}),
		"manifest.v1+json",
	)
	lies(
		t, dir,
		map[string]string{
			"oci-layout": `{"imageLayoutVersion":"1.0.0"}`,
			"index.json": string(write(map[string]any{"schemaVersion": 2, "manifests": []any{m}})),
		},
	)
	return dir
}

// owner is who has a file.
func owner(path string) *syscall.Stat_t {
	var st syscall.Stat_t
	_ = syscall.Stat(path, &st)
	return &st
}

// TestImage lays out an image as the software user, whose entry point runs in a partition of
// another one, writes there, and leaves the release alone.
func TestImage(t *testing.T) {
	if of, ok := os.LookupEnv("HOSTLER_TEST_LAY"); ok {
		name, dir, _ := strings.Cut(of, "|")
		if err := software.LayImage(t.Context(), name, dir, nil); err != nil {
			t.Fatal(err)
		}
		return
	}
	shell, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skip("TestImage: there is no busybox (Debian: busybox-static)")
	}
	s, dir := newSite(t), place(t)
	name := layout(t, dir+"/layout", map[string]any{
		"Entrypoint": []string{"sh", "-c"},
		"Cmd": []string{
			`id -u; pwd; echo "$IN $name $PATH"; cat there; ls /data /hidden; rm there; echo mine >made; echo; readlink /proc/self/cwd`,
		},
		"Env": []string{"IN=image", "PATH=/bin"}, "WorkingDir": "/data",
		"Volumes": map[string]any{"/data/kept": map[string]any{}, "/": map[string]any{}},
	},
		func(add func(*tar.Header, string)) {
			add(item("bin/sh", 0o4711, string(shell)))
			add(item("data/", 0o700, ""))
			add(item("data/there", 0o600, "was there\n"))
			add(item("data/gone", 0o600, ""))
			add(item("hidden/", 0o755, ""))
			add(item("hidden/gone", 0o600, ""))
			add(item("replaced/gone", 0o600, ""))
			add(&tar.Header{Name: "out", Linkname: dir, Typeflag: tar.TypeSymlink}, "")
		},
		func(add func(*tar.Header, string)) {
			for _, applet := range []string{"id", "cat", "ls", "rm", "readlink"} {
				add(&tar.Header{Name: "bin/" + applet, Linkname: "sh", Typeflag: tar.TypeSymlink}, "")
			}
			add(item("data/.wh.gone", 0, ""))
			add(item("hidden/.wh..wh..opq", 0, ""))
			add(item("hidden/new", 0o644, ""))
			add(item("replaced", 0o644, ""))
			add(item("out/x", 0o644, ""))
		})
	puller := script(t, dir+"/puller", `HOSTLER_TEST_LAY="$1|$2" exec `+os.Args[0]+` -test.run='^TestImage$'`)
	do(t, os.Chmod(filepath.Dir(os.Args[0]), 0o755))
	do(t, os.Chmod(filepath.Dir(filepath.Dir(os.Args[0])), 0o755))
	s.Puller = []string{puller}
	url := "oci://oci:" + name
	if err := s.Install(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	s.his(url)
	e, err := s.EntryPoint(url)
	if err != nil || e == nil || !s.Light(url) {
		t.Fatalf("e = %v, err = %v; want no error and e != nil and s.Light(url)", e, err)
	}
	// the layout, two layers and the puller: nothing by the link
	if names, err := os.ReadDir(dir); err != nil || len(names) != 4 {
		t.Errorf("names = %v, err = %v; want no error and len(names) == 4", names, err)
	}
	partition := place(t)
	user := &runas.User{UID: builds + 1, GID: builds + 1}
	if os.Getuid() == 0 {
		do(t, os.Chown(partition, builds+1, builds+1))
	} else {
		user = nil
	}
	var out bytes.Buffer
	path := script(t, dir+"/entrypoint", "")
	do(
		t,
		os.WriteFile(
			path,
			e.Script(s.Dir(url), partition, map[string]string{"name": "it's 'quoted' $x", "bad name": "x", "_": "x"}),
			0o755,
		),
	)
	for range 2 { // again in what it left
		out.Reset()
		if err := runas.Run(
			t.Context(),
			runas.Command{Argv: []string{path}, Dir: partition, Env: []string{"HOME=" + partition}, User: user, Umask: 0o027, Output: &out},
		); err != nil {
			if strings.Contains(out.String(), "unshare failed") && os.Getenv("HOSTLER_REQUIRE_LAB") == "" {
				t.Skip("TestImage: no user name spaces here: " + out.String())
			}
			t.Fatalf("err = %v, out = %s; want no error", err, out.String())
		}
		want := "0\n/data\nimage it's 'quoted' $x /bin\nwas there\n/data:\nthere\n\n/hidden:\nnew\n\n/data\n"
		if out.String() != want {
			t.Errorf("%q, want %q", &out, want)
		}
		if text, err := os.ReadFile(partition + "/var/image/upper/data/made"); err != nil || string(text) != "mine\n" ||
			s.read(url, "rootfs/data/there") != "was there\n" {
			t.Errorf(
				"text = %q, err = %v"+
					"; want no error and string(text) == \"mine\\n\" and s.read(url, \"rootfs/data/there\") == \"was "+
					"there\\n\"",
				text, err,
			)
		}
		do(t, errors.Join(os.Remove(partition+"/var/image/upper/data/made"), os.Remove(partition+"/var/image/upper/data/there")))
	}
	// The release becomes another image: what was written is no more over it, but for what the
	// image says that it keeps.
	if len(e.Volumes) != 1 || e.Volumes[0] != "/data/kept" || !strings.HasPrefix(e.Image, "sha256:") {
		t.Errorf(
			"e = %+v"+
				`; want len(e.Volumes) == 1 and e.Volumes[0] == "/data/kept" and `+
				`strings.HasPrefix(e.Image, "sha256:")`,
			e,
		)
	}
	act := func(image, command, want string) {
		t.Helper()
		e := *e
		e.Image, e.Argv = image, []string{"sh", "-c", command}
		out.Reset()
		do(t, os.WriteFile(path, e.Script(s.Dir(url), partition, nil), 0o755))
		if err := runas.Run(
			t.Context(), runas.Command{Argv: []string{path}, Dir: partition, User: user, Umask: 0o027, Output: &out},
		); err != nil || out.String() != want {
			t.Errorf("%v: %q, want %q", err, &out, want)
		}
	}
	act(e.Image, `mkdir /data/kept; echo mine >/data/kept/mine; echo stray >/stray; rm /data/there; rm -r /hidden; echo x >/hidden`, "")
	act(e.Image, `cat /data/kept/mine /stray /hidden; ls /data`, "mine\nstray\nx\nkept\n")
	act("sha256:other", `cat /data/kept/mine; ls -d /stray /data/there /hidden/* 2>/dev/null || :`, "mine\n/data/there\n/hidden/new\n")
	if text, err := os.ReadFile(partition + "/var/image/before/stray"); err != nil || string(text) != "stray\n" {
		t.Errorf("text = %q, err = %v; want no error and string(text) == \"stray\\n\"", text, err)
	}
	// Killed in the middle of it, at each place.
	for _, cut := range []string{"mv upper before", "moving", "moved"} {
		at := func(name string) string { return filepath.Join(partition, "var/image", name) }
		act("sha256:a", `echo again >/stray; cat /data/kept/mine`, "mine\n")
		do(t, errors.Join(os.RemoveAll(at("before")), os.Rename(at("upper"), at("before"))))
		if cut != "mv upper before" {
			do(t, os.WriteFile(at("moving"), nil, 0o666))
			do(t, os.Chmod(at("moving"), 0o666))
		}
		if cut == "moved" {
			do(t, os.MkdirAll(at("upper/data"), 0o777))
			for _, name := range []string{"upper", "upper/data"} {
				do(t, os.Chown(at(name), int(owner(partition).Uid), int(owner(partition).Gid)))
			}
			do(t, os.Rename(at("before/data/kept"), at("upper/data/kept")))
		}
		act("sha256:b", `cat /data/kept/mine; ls -d /stray 2>/dev/null || :`, "mine\n")
		act("sha256:b", `cat /data/kept/mine; ls -d /stray 2>/dev/null || :`, "mine\n")
	}
	if e, err = s.EntryPoint("none"); e != nil || !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("e = %v, err = %v; want e == nil and error compute.ErrNotFound", e, err)
	}
	if err := s.Install(t.Context(), "oci://oci:"+dir+"/none"); err == nil || len(s.names()) != 1 {
		t.Errorf("err = %v, s.names() = %v; want an error and len(s.names()) == 1", err, s.names())
	}
	if err := s.Install(t.Context(), "oci://-x"); !errors.Is(err, compute.ErrInvalid) {
		t.Error(err)
	}
}

// TestBundle makes a release of a bundle: its files, and its scripts run once.
func TestBundle(t *testing.T) {
	s := newSite(t)
	set := bundle.Set{
		"web": bundle.Parse("web", "web.conf", []bundle.Entry{
			{Key: "scripts", Text: "prepare"}, {Key: "files", Text: "/instance, /lib/data"},
		}, fstest.MapFS{
			"files/instance": {Data: []byte(program), Mode: 0o755}, "files/data": {Data: []byte("data"), Mode: 0o4644},
			"scripts/prepare": {Data: []byte("#!/bin/sh\necho prepares; pwd >>prepared\n"), Mode: 0o755},
		}),
	}
	s.Bundles = func() (bundle.Set, error) { return set, nil }
	for range 2 {
		s.Force = true
		do(t, s.Install(t.Context(), "bundle:web"))
		if !s.heard("prepares") || s.read("bundle:web", "lib/data") != "data" ||
			s.read("bundle:web", "prepared") != s.Dir("bundle:web")+"\n" || !s.Light("bundle:web") {
			t.Errorf("s.said = %q", s.said)
		}
		s.his("bundle:web")
	}
	if err := s.Install(t.Context(), "bundle:none"); err == nil || !strings.Contains(err.Error(), "none") || len(s.names()) != 1 {
		t.Error(err)
	}
	if err := s.Remove(t.Context(), "bundle:web"); err != nil || len(s.names()) > 0 {
		t.Error(err)
	}
}
