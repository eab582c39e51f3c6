package scan_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hostler-project/hostler/run/workspace/scan"
)

// some is a list with a bit of everything.
func some() []scan.Entry {
	return []scan.Entry{
		{Path: "-v", Kind: scan.File, Mode: 0o644, Size: 3, ModTime: -5, Sum: [32]byte{1}},
		{Path: "a b\nc", Kind: scan.File, Mode: 0o755, Size: 1 << 40, ModTime: 1 << 60, Sum: [32]byte{31: 9}},
		{Path: "dir", Kind: scan.Dir, Mode: 0o755},
		{Path: "dir-1", Kind: scan.Link, Target: "/etc/passwd"},
		{Path: "dir/\xff\xfe", Kind: scan.Link, Target: "../\xff"},
		{Path: "e/" + strings.Repeat("d/", 20) + strings.Repeat("n", 255), Kind: scan.File, Mode: 0o644},
	}
}

func encode(t testing.TB, entries []scan.Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := scan.Encode(&b, entries); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestListComesBack(t *testing.T) {
	for name, entries := range map[string][]scan.Entry{"some": some(), "none": nil} {
		t.Run(name, func(t *testing.T) {
			wire := encode(t, entries)
			for _, r := range []io.Reader{
				bytes.NewReader(wire), iotest.OneByteReader(bytes.NewReader(wire)),
				iotest.DataErrReader(bytes.NewReader(wire)),
			} {
				got, err := scan.Decode(r, scan.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(entries, got); diff != "" {
					t.Error(diff)
				}
				if scan.ID(entries) != scan.ID(got) {
					t.Error("another ID")
				}
			}
		})
	}
}

// Lists can follow each other on a stream, with other things between.
func TestListEndsWhereItEnds(t *testing.T) {
	r := bufio.NewReader(bytes.NewReader(append(encode(t, some()), "what follows"...)))
	if _, err := scan.Decode(r, scan.Limits{}); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r)
	if err != nil || string(rest) != "what follows" {
		t.Errorf("left on the stream: %q, %v", rest, err)
	}
}

func TestListCutShort(t *testing.T) {
	wire := encode(t, some())
	for n := range wire {
		if _, err := scan.Decode(bytes.NewReader(wire[:n]), scan.Limits{}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("after %d of %d bytes: %v", n, len(wire), err)
		}
	}
}

func TestListLimits(t *testing.T) {
	wire := encode(t, some())
	for name, limits := range map[string]scan.Limits{"entries": {Entries: 5}, "bytes": {Bytes: 100}} {
		if _, err := scan.Decode(bytes.NewReader(wire), limits); !errors.Is(err, scan.ErrLimit) {
			t.Errorf("%s: err = %v; want error scan.ErrLimit", name, err)
		}
	}
	if _, err := scan.Decode(bytes.NewReader(wire), scan.Limits{Entries: 6, Bytes: 400}); err != nil {
		t.Error(err)
	}
}

// Neither side lets a list pass that could mean anything but places below a root. For the reader
// the lists are made by a writer that checks nothing.
func TestListsThatAreRefused(t *testing.T) {
	file := func(path string) scan.Entry { return scan.Entry{Path: path, Kind: scan.File, Mode: 0o644} }
	link := func(path, target string) scan.Entry { return scan.Entry{Path: path, Kind: scan.Link, Target: target} }
	for name, entries := range map[string][]scan.Entry{
		"empty path":        {file("")},
		"absolute":          {file("/etc/passwd")},
		"slash alone":       {file("/")},
		"dot":               {file(".")},
		"dot within":        {file("a/./b")},
		"dots":              {file("..")},
		"dots within":       {file("a/../../b")},
		"dots at the end":   {file("a/..")},
		"empty part":        {file("a//b")},
		"slash at the end":  {file("a/")},
		"NUL":               {file("a\x00b")},
		"long part":         {file(strings.Repeat("a", 256))},
		"long path":         {file(strings.Repeat("a/", 2048) + "a")},
		"unsorted":          {file("b"), file("a")},
		"twice":             {file("a"), file("a")},
		"below a file":      {file("a"), file("a/b")},
		"far below a link":  {link("a", "/"), file("a-"), file("a-b"), file("a/b/c/d")},
		"setuid":            {{Path: "a", Kind: scan.File, Mode: 0o4755}},
		"size below 0":      {{Path: "a", Kind: scan.File, Size: -1}},
		"no target":         {link("a", "")},
		"target with NUL":   {link("a", "b\x00")},
		"long target":       {link("a", strings.Repeat("a", 4096))},
		"link with a mode":  {{Path: "a", Kind: scan.Link, Target: "b", Mode: 0o777}},
		"directory's size":  {{Path: "a", Kind: scan.Dir, Size: 1}},
		"file with target":  {{Path: "a", Kind: scan.File, Target: "b"}},
		"no kind":           {{Path: "a"}},
		"kind of tomorrow":  {{Path: "a", Kind: 4}},
		"directory's times": {{Path: "a", Kind: scan.Dir, ModTime: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := scan.Encode(io.Discard, entries); err == nil {
				t.Error("written")
			}
			if kind := entries[len(entries)-1]; kind.Kind == 0 || kind.Kind == scan.Dir ||
				kind.Target != "" && kind.Kind == scan.File || kind.Kind == scan.Link && kind.Mode != 0 {
				return // what the form cannot say
			}
			if got, err := scan.Decode(bytes.NewReader(careless(entries)), scan.Limits{}); err == nil {
				t.Errorf("read as %+v", got)
			}
		})
	}
	for name, text := range map[string]string{
		"nothing of ours": "PACK and so on, more than a header\n", "another version": "hostler tree 2\n\x00",
	} {
		if _, err := scan.Decode(strings.NewReader(text), scan.Limits{}); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

// Any difference in what is sent is another ID.
func TestIDTellsApart(t *testing.T) {
	seen := map[[32]byte]string{}
	note := func(name string, entries []scan.Entry) {
		id := scan.ID(entries)
		if before, ok := seen[id]; ok {
			t.Errorf("%s has the ID of %s", name, before)
		}
		seen[id] = name
	}
	note("none", nil)
	note("some", some())
	note("fewer", some()[1:])
	for name, change := range map[string]func(e []scan.Entry){
		"path": func(e []scan.Entry) { e[0].Path = "-w" }, "mode": func(e []scan.Entry) { e[0].Mode = 0o755 },
		"size": func(e []scan.Entry) { e[0].Size++ }, "time": func(e []scan.Entry) { e[0].ModTime++ },
		"sum":    func(e []scan.Entry) { e[0].Sum[31]++ },
		"target": func(e []scan.Entry) { e[3].Target += "x" }, "kind": func(e []scan.Entry) { e[2].Kind = scan.File },
		"directory's mode": func(e []scan.Entry) { e[2].Mode = 0o700 },
	} {
		entries := some()
		change(entries)
		note(name, entries)
	}
}

func TestListOfAnything(t *testing.T) {
	part := rapid.StringMatching(`[a-c.]{1,3}`)
	rapid.Check(t, func(t *rapid.T) {
		var entries []scan.Entry
		for i, n := 0, rapid.IntRange(0, 12).Draw(t, "entries"); i < n; i++ {
			e := scan.Entry{
				Path: strings.Join(rapid.SliceOfN(part, 1, 3).Draw(t, "path"), "/"), Kind: scan.Kind(rapid.IntRange(1, 3).Draw(t, "kind")),
				Mode: rapid.Uint32Range(0, 0o777).Draw(t, "mode"),
			}
			switch e.Kind {
			case scan.File:
				e.Size, e.ModTime = rapid.Int64Min(0).Draw(t, "size"), rapid.Int64().Draw(t, "time")
			case scan.Link:
				e.Mode, e.Target = 0, rapid.StringMatching(`[^\x00]{1,5}`).Draw(t, "target")
			}
			entries = append(entries, e)
		}
		var b bytes.Buffer
		encoded := scan.Encode(&b, entries)
		if right := inOrder(entries); (encoded == nil) != right {
			t.Fatalf("right: %v, and Encode says %v", right, encoded)
		}
		got, decoded := scan.Decode(bytes.NewReader(careless(entries)), scan.Limits{})
		if (encoded == nil) != (decoded == nil) {
			t.Fatalf("Encode says %v, Decode %v", encoded, decoded)
		}
		if decoded == nil && !cmp.Equal(entries, got) {
			t.Fatal(cmp.Diff(entries, got))
		}
	})
}

// inOrder says in another way than the package what a right order is.
func inOrder(entries []scan.Entry) bool {
	kinds := map[string]scan.Kind{}
	last := ""
	for _, e := range entries {
		if e.Path <= last || scan.CheckPath(e.Path) != nil {
			return false
		}
		for i := range e.Path {
			if kind := kinds[e.Path[:i]]; e.Path[i] == '/' && kind != 0 && kind != scan.Dir {
				return false
			}
		}
		kinds[e.Path], last = e.Kind, e.Path
	}
	return true
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(f, some()))
	f.Add(encode(f, nil))
	f.Add(careless([]scan.Entry{{Path: "a", Kind: scan.File}, {Path: "a/..", Kind: scan.Dir}}))
	f.Fuzz(func(t *testing.T, wire []byte) {
		entries, err := scan.Decode(bytes.NewReader(wire), scan.Limits{Entries: 1000, Bytes: 1 << 16})
		if err != nil {
			return
		}
		again, err := scan.Decode(bytes.NewReader(encode(t, entries)), scan.Limits{})
		if err != nil || !cmp.Equal(entries, again) {
			t.Errorf("err = %v\ndiff = %s; want no error and cmp.Equal(entries, again)", err, cmp.Diff(entries, again))
		}
	})
}
