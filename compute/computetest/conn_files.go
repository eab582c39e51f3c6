package computetest

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// file is one entry of a tree: as it is put, and as it must come back.
type file struct {
	name   string
	kind   byte
	mode   int64
	body   string
	target string
	time   time.Time
	owner  int // the user's number
}

// whole is a time without nanoseconds, fine one with.
var (
	whole = time.Unix(1_000_000_007, 0)
	fine  = time.Unix(1_234_567_890, 123_456_789)
)

// archive returns a tar of the files. Zero fields mean a regular file, mode 0644 and a fixed
// time.
func archive(files ...file) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Typeflag: f.kind, Mode: f.mode, Linkname: f.target, Size: int64(len(f.body)), ModTime: f.time,
			Uid: f.owner, Gid: f.owner, Format: tar.FormatPAX}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.ModTime.IsZero() {
			h.ModTime = whole
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		_, _ = io.WriteString(w, f.body)
	}
	_ = w.Close()
	return b.Bytes()
}

func (t *connTest) put(dir string, files ...file) {
	t.Helper()
	if err := t.conn.Put(t.ctx(), dir, bytes.NewReader(archive(files...))); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

// get fetches name and returns its entries by name; the names of directories without a slash at the
// end.
func (t *connTest) get(name string) map[string]file {
	t.Helper()
	var b bytes.Buffer
	if err := t.conn.Get(t.ctx(), name, &b); err != nil {
		t.Fatalf("Get(%q): %v", name, err)
	}
	out := make(map[string]file)
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatalf("Get(%q): %v", name, err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("Get(%q): %s: %v", name, h.Name, err)
		}
		key := strings.TrimSuffix(h.Name, "/")
		if _, twice := out[key]; twice {
			t.Errorf("Get(%q): %q comes twice", name, key)
		}
		out[key] = file{key, h.Typeflag, h.Mode & 0o7777, string(body), h.Linkname, h.ModTime, h.Uid}
	}
}

func names(m map[string]file) []string {
	var out []string
	for n := range m {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

var fileCases = []connCase{
	{"PutGetFile", func(t *connTest) {
		data := string(allBytes())
		dir := path.Join(t.scratch(), "new", "deep", "directory")
		t.put(dir, file{name: "file", body: data}, file{name: "empty"})
		t.same("its sum", strings.TrimSpace(t.sh(`wc -c < "$1"`, path.Join(dir, "file"))), fmt.Sprint(len(data)))
		if got := t.must("cat", path.Join(dir, "file")); got != data {
			t.Error("the file's contents changed on the way in")
		}
		got := t.get(path.Join(dir, "file"))
		if len(got) != 1 || got["file"].body != data {
			t.Errorf("the file came back as %v, or with other contents", names(got))
		}
		t.same("an empty file", t.get(path.Join(dir, "empty"))["empty"].body, "")
	}},
	{"PutGetTree", func(t *connTest) {
		t.put(t.scratch(), file{name: "tree/", kind: tar.TypeDir, mode: 0o755}, file{name: "tree/a", body: "A"}, file{
			name: "tree/empty/", kind: tar.TypeDir, mode: 0o755,
		},
			file{name: "tree/sub/deep/b", body: "B"}, file{name: "tree/.hidden", body: "H"})
		got := t.get(path.Join(t.scratch(), "tree"))
		t.same(
			"names", names(got),
			[]string{"tree", "tree/.hidden", "tree/a", "tree/empty", "tree/sub", "tree/sub/deep", "tree/sub/deep/b"},
		)
		t.same("a file", got["tree/sub/deep/b"].body, "B")
		t.put(t.scratch(), file{name: "tree/", kind: tar.TypeDir, mode: 0o755}, file{name: "tree/a", body: "A2"})
		again := t.get(path.Join(t.scratch(), "tree"))
		t.same("names after another", names(again), names(got))
		t.same("a file replaced", again["tree/a"].body, "A2")
	}},
	{"Modes", func(t *connTest) {
		var files []file
		for _, m := range []int64{0o400, 0o444, 0o600, 0o644, 0o666, 0o700, 0o755, 0o777} {
			files = append(files, file{name: fmt.Sprintf("m/f%o", m), mode: m})
		}
		files = append(
			files, file{name: "m/closed/", kind: tar.TypeDir, mode: 0o500}, file{name: "m/closed/in", body: "x"},
			file{name: "m/open/", kind: tar.TypeDir, mode: 0o777},
		)
		t.put(t.scratch(), files...)
		got := t.get(path.Join(t.scratch(), "m"))
		for _, f := range files {
			key := strings.TrimSuffix(f.name, "/")
			want := f.mode
			if want == 0 {
				want = 0o644
			}
			if got[key].mode != want {
				t.Errorf("%s: mode %o, want %o", f.name, got[key].mode, want)
			}
		}
		t.sh(`test -x "$1/f755" && test ! -x "$1/f644" && chmod 700 "$1/closed"`, path.Join(t.scratch(), "m"))
	}},
	{"SpecialModes", func(t *connTest) { // a program that did not get its owner must not run as us
		const other = 12345
		files := []file{{name: "s/", kind: tar.TypeDir, mode: 0o1777}}
		for name, mode := range map[string]int64{"setuid": 0o4755, "setgid": 0o2755, "both": 0o6755, "all": 0o7711} {
			files = append(
				files, file{name: "s/" + name, mode: mode, owner: other},
				file{name: "s/" + name + "-dir/", kind: tar.TypeDir, mode: mode, owner: other},
			)
		}
		t.put(t.scratch(), files...)
		got := t.get(path.Join(t.scratch(), "s"))
		for _, f := range files {
			g := got[strings.TrimSuffix(f.name, "/")]
			want := f.mode
			if g.owner != other {
				want &^= 0o6000
			}
			if g.mode != want {
				t.Errorf("%s: mode %o, want %o, as it is %d's", f.name, g.mode, want, g.owner)
			}
		}
	}},
	{"Owners", func(t *connTest) { // numbers of one computer mean nothing on another
		const other = 23456
		t.sh(`echo > "$1/ours"`, t.scratch())
		t.put(t.scratch(), file{name: "d/", kind: tar.TypeDir, mode: 0o755, owner: other}, file{name: "d/f", body: "F", owner: other},
			file{name: "d/l", kind: tar.TypeSymlink, mode: 0o777, target: "f", owner: other})
		want := t.get(path.Join(t.scratch(), "ours"))["ours"].owner
		if want == 0 && t.opt.Owner {
			want = other
		}
		for name, f := range t.get(path.Join(t.scratch(), "d")) {
			if t.opt.Owner && f.kind == tar.TypeSymlink {
				continue // SFTP sets no owner of a link
			}
			t.same("the owner of "+name, f.owner, want)
		}
	}},
	{"Times", func(t *connTest) {
		old := time.Unix(86_400, 0)
		t.put(t.scratch(), file{
			name: "t/", kind: tar.TypeDir, mode: 0o755, time: whole,
		}, file{name: "t/f", time: old}, file{name: "t/d/", kind: tar.TypeDir, mode: 0o755, time: old},
			file{name: "t/d/f", time: whole})
		got := t.get(path.Join(t.scratch(), "t"))
		for name, want := range map[string]time.Time{"t": whole, "t/f": old, "t/d": old, "t/d/f": whole} {
			if !got[name].time.Equal(want) {
				t.Errorf("%s: time %v, want %v", name, got[name].time, want)
			}
		}
	}},
	{"Nanoseconds", func(t *connTest) {
		t.put(t.scratch(), file{name: "f", time: fine})
		if got := t.get(path.Join(t.scratch(), "f"))["f"].time; !got.Equal(fine) {
			t.Errorf("time %v, want %v", got.UnixNano(), fine.UnixNano())
		}
	}},
	{"SymbolicLinks", func(t *connTest) {
		links := map[string]string{
			"l/good": "target", "l/bad": "no/such", "l/abs": "/etc/passwd", "l/up": "../../..", "l/odd": "a b\n'\"\xff",
			"l/dir": "sub",
		}
		files := []file{{name: "l/target", body: "T"}, {name: "l/sub/", kind: tar.TypeDir, mode: 0o755}}
		for n, target := range links {
			files = append(files, file{name: n, kind: tar.TypeSymlink, mode: 0o777, target: target})
		}
		t.put(t.scratch(), files...)
		got := t.get(path.Join(t.scratch(), "l"))
		for n, target := range links {
			if got[n].kind != tar.TypeSymlink || got[n].target != target {
				t.Errorf("%s came back as %+v, want a link to %q", n, got[n], target)
			}
		}
		t.same("through a link", t.must("cat", path.Join(t.scratch(), "l/good")), "T")
		alone := t.get(path.Join(t.scratch(), "l/good"))
		t.same(
			"a link alone is not followed", []any{len(alone), alone["good"].kind, alone["good"].target},
			[]any{1, byte(tar.TypeSymlink), "target"},
		)
		t.put(
			t.scratch(), file{name: "l/good", body: "now a file"},
			file{name: "l/target", kind: tar.TypeSymlink, mode: 0o777, target: "good"},
		)
		t.same("a link replaced, not written through", t.must("cat", path.Join(t.scratch(), "l/target")), "now a file")
	}},
	// devices, named pipes and sockets are known by their names: a plain file in their place would
	// do harm
	{"KeepsSpecialFiles", func(t *connTest) {
		makes := map[string]string{
			"named pipe": `mkfifo "$1" 2>/dev/null || mknod "$1" p`,
			"device":     `mknod "$1" c 1 3 2>/dev/null || exit 3`, // for root alone
		}
		if l, ok := t.conn.(provider.Listener); ok {
			makes["socket"] = ""
			socket, err := l.Listen(t.ctx(), "unix", path.Join(t.scratch(), "x-socket"))
			if err != nil {
				delete(makes, "socket")
			} else {
				defer func() { _ = socket.Close() }()
			}
		}
		for what, script := range makes {
			word := strings.ReplaceAll(what, " ", "-")
			name, test := path.Join(t.scratch(), "x-"+word), map[string]string{"named pipe": "-p", "device": "-c", "socket": "-S"}[what]
			if script != "" {
				if r := t.run(compute.Command{Args: []string{"sh", "-c", script, "sh", name}}); r.exit.Code != 0 {
					continue
				}
			}
			// a hard link tells it from another that took its place
			t.must("ln", name, path.Join(t.scratch(), "y-"+word))
			for kind, f := range map[string]file{
				"file": {body: "x"}, "big file": {body: strings.Repeat("x", 1<<20)}, "link": {kind: tar.TypeSymlink, target: "other"},
			} {
				f.name = path.Base(name)
				err := t.conn.Put(
					t.ctx(), t.scratch(),
					bytes.NewReader(archive(file{name: "other", body: "o"}, f, file{name: "after " + word + kind, body: "A"})),
				)
				if err == nil || !strings.Contains(err.Error(), f.name+": is a "+what) {
					t.Errorf("a %s onto a %s: got %v", kind, what, err)
				}
				t.sh(`test "$3" "$1" && test ! -h "$1" && test "$1" -ef "$2"`, name, path.Join(t.scratch(), "y-"+word), test)
				t.same("what came after it", t.must("cat", path.Join(t.scratch(), "after "+word+kind)), "A")
			}
		}
		t.same("what is left over", t.sh(`cd "$1"; for f in .[!.]*; do test -e "$f" && echo "$f"; done; :`, t.scratch()), "")
	}},
	{"HardLinks", func(t *connTest) {
		t.put(
			t.scratch(), file{name: "h/a", body: "first"}, file{name: "h/b", kind: tar.TypeLink, target: "h/a"},
			file{name: "h/c", body: "apart"},
		)
		t.sh(`cd "$1" && echo more >> a`, path.Join(t.scratch(), "h"))
		t.same("the other name", t.must("cat", path.Join(t.scratch(), "h/b")), "firstmore\n")
		got := t.get(path.Join(t.scratch(), "h"))
		linked := 0
		for _, n := range []string{"h/a", "h/b"} {
			if f := got[n]; f.kind == tar.TypeLink && (f.target == "h/a" || f.target == "h/b") && f.target != n {
				linked++
			} else if f.body != "firstmore\n" {
				t.Errorf("%s came back as %+v", n, f)
			}
		}
		t.same("entries that are links", linked, 1)
	}},
	{"OddNames", func(t *connTest) {
		odd := []string{
			"a b", "'", `"`, "new\nline", "\xff\xfe", "ünï", "-rf", "--help", "*", "$HOME", "`x`", "a\\b", "tab\t",
			"end ", " begin", "#", "~", strings.Repeat("n", 255),
			strings.Repeat("ü", 127), "c:d", "..x", "...", "x=y", "%s", "{a,b}", "!", "CON",
		}
		var files []file
		for i, n := range odd {
			files = append(files, file{name: "o/" + n, body: strconv.Itoa(i)})
		}
		deep := "o/" + strings.Repeat(strings.Repeat("d", 100)+"/", 12) + "f"
		files = append(files, file{name: deep, body: "deep"})
		t.put(t.scratch(), files...)
		got := t.get(path.Join(t.scratch(), "o"))
		var there, bodies []string
		for _, f := range files {
			if g, ok := got[f.name]; !ok || g.body != f.body {
				t.Errorf("%q came back as %q (%v)", f.name, g.body, ok)
			}
			if len(f.name) < 300 {
				there, bodies = append(there, path.Join(t.scratch(), f.name)), append(bodies, f.body)
			}
		}
		t.same("what commands find by these names", strings.Fields(t.sh(`for f; do cat "$f"; echo; done`, there...)), bodies)
		for _, n := range odd {
			if alone := t.get(path.Join(t.scratch(), "o", n)); len(alone) != 1 || alone[n].kind != tar.TypeReg {
				t.Errorf("%q alone came back as %q", n, names(alone))
			}
		}
	}},
	{"Sparse", func(t *connTest) {
		const tail = "the end"
		size := t.huge()
		pr, pw := io.Pipe()
		m := newMeter()
		go func() {
			w := tar.NewWriter(pw)
			err := w.WriteHeader(&tar.Header{Name: "sparse", Typeflag: tar.TypeReg, Mode: 0o644, Size: size})
			if err == nil {
				_, err = io.Copy(w, io.MultiReader(&zeroReader{size - int64(len(tail)), m}, strings.NewReader(tail)))
			}
			if err == nil {
				err = w.Close()
			}
			_ = pw.CloseWithError(err)
		}()
		if err := t.conn.Put(t.ctx(), t.scratch(), pr); err != nil {
			t.Fatalf("Put: %v", err)
		}
		m.check(t, size-int64(len(tail)))
		name := path.Join(t.scratch(), "sparse")
		t.same("its size", strings.TrimSpace(t.sh(`wc -c < "$1"`, name)), fmt.Sprint(size))
		kib, _, _ := strings.Cut(t.must("du", "-k", name), "\t")
		if n, err := strconv.Atoi(strings.TrimSpace(kib)); err != nil || n > 1024 {
			t.Errorf("it takes %q KiB", kib)
		}
		back := newMeter()
		// not pr and pw again: Put may return before the writer above has closed its own
		back1, back2 := io.Pipe()
		go func() { _ = back2.CloseWithError(t.conn.Get(t.ctx(), name, back2)) }()
		r := tar.NewReader(back1)
		h, err := r.Next()
		if err != nil || h.Name != "sparse" || h.Size != size {
			t.Fatalf("it came back as %+v, %v", h, err)
		}
		if _, err := io.Copy(back, io.LimitReader(r, size-int64(len(tail)))); err != nil || back.nonzero {
			t.Errorf("its hole came back changed, or %v", err)
		}
		back.check(t, size-int64(len(tail)))
		rest, err := io.ReadAll(r)
		if err != nil || string(rest) != tail {
			t.Errorf("its end came back as %q, %v", rest, err)
		}
		if _, err := io.Copy(io.Discard, back1); err != nil {
			t.Errorf("Get: %v", err)
		}
	}},
	{"AtomicReplace", func(t *connTest) {
		t.put(t.scratch(), file{name: "f", body: "old contents"})
		name := path.Join(t.scratch(), "f")
		stream := archive(file{name: "f", body: strings.Repeat("new!", 100_000)})
		pr, pw := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- t.conn.Put(t.ctx(), t.scratch(), pr) }()
		half := len(stream) / 2
		_, _ = pw.Write(stream[:half])
		t.same("while the new one comes", t.must("cat", name), "old contents")
		_, _ = pw.Write(stream[half:])
		_ = pw.Close()
		if err := <-done; err != nil {
			t.Fatalf("Put: %v", err)
		}
		t.same("after", len(t.must("cat", name)), 400_000)
		t.same("what is there", t.sh(`cd "$1"; for f in * .[!.]*; do test -e "$f" && echo "$f"; done; :`, t.scratch()), "f\n")
	}},
	{"BrokenStream", func(t *connTest) {
		stream := archive(file{name: "whole", body: "W"}, file{name: "half", body: strings.Repeat("x", 100_000)})
		if err := t.conn.Put(t.ctx(), t.scratch(), bytes.NewReader(stream[:50_000])); err == nil {
			t.Error("half a stream was taken for a whole one")
		}
		t.same("what is there", t.sh(`cd "$1"; for f in * .[!.]*; do test -e "$f" && echo "$f"; done; :`, t.scratch()), "whole\n")
	}},
	{"GetMissing", func(t *connTest) {
		for _, name := range []string{"/no/such/file", path.Join(t.scratch(), "missing")} {
			var b bytes.Buffer
			if err := t.conn.Get(t.ctx(), name, &b); !errors.Is(err, compute.ErrNotFound) {
				t.Errorf("Get(%q): got %v, want ErrNotFound", name, err)
			}
		}
	}},
}
