package computetest

import (
	"archive/tar"
	"bytes"
	"path"
)

// escapes are streams that try to write outside of the directory; PLACE is the directory above it.
var escapes = map[string]func(place string) []file{
	"up":         func(string) []file { return []file{{name: "../evil", body: "x"}} },
	"up inside":  func(string) []file { return []file{{name: "a/../../evil", body: "x"}} },
	"absolute":   func(place string) []file { return []file{{name: path.Join(place, "evil"), body: "x"}} },
	"directory":  func(string) []file { return []file{{name: "../evil/", kind: tar.TypeDir, mode: 0o755}} },
	"link up":    func(string) []file { return []file{symlink("l", ".."), {name: "l/evil", body: "x"}} },
	"link abs":   func(place string) []file { return []file{symlink("l", place), {name: "l/evil", body: "x"}} },
	"link deep":  func(string) []file { return []file{symlink("a/l", "../.."), {name: "a/l/evil", body: "x"}} },
	"link chain": func(string) []file { return []file{symlink("l", "m"), symlink("m", ".."), {name: "l/evil", body: "x"}} },
	"link file":  func(string) []file { return []file{symlink("l", ".."), {name: "l/canary", body: "x"}} },
	"link dir": func(string) []file {
		return []file{symlink("l", ".."), {name: "l/evil/", kind: tar.TypeDir, mode: 0o755}}
	},
	"link link": func(string) []file { return []file{symlink("l", ".."), symlink("l/evil", "x")} },
	"hard link": func(string) []file { return []file{{name: "h", kind: tar.TypeLink, target: "../canary"}} },
	"hard abs": func(place string) []file {
		return []file{{name: "h", kind: tar.TypeLink, target: path.Join(place, "canary")}}
	},
	"hard by way": func(string) []file {
		return []file{symlink("l", ".."), {name: "h", kind: tar.TypeLink, target: "l/canary"}}
	},
	"mode of": func(string) []file {
		return []file{symlink("l", "../canary"), {name: "l/", kind: tar.TypeDir, mode: 0o777}}
	},
	"mode of dir": func(string) []file { return []file{symlink("l", ".."), {name: "l/", kind: tar.TypeDir, mode: 0o777}} },
}

func symlink(name, target string) file {
	return file{name: name, kind: tar.TypeSymlink, mode: 0o777, target: target}
}

var escapeCases = []connCase{
	{"Escapes", func(t *connTest) {
		place := t.scratch()
		t.sh(`cd "$1" && echo canary > canary && chmod 600 canary && chmod 750 .`, place)
		const look = `cd "$1"; for f in * .[!.]*; do test -e "$f" && echo "$f"; done; cat canary; ls -ld canary . | while read m rest; do echo $m; done`
		// Each has a directory of its own, which the one before could not change.
		const next = look + `; test ! -e dest/h || echo linked; rm -rf dest && mkdir dest`
		dest := path.Join(place, "dest")
		t.must("mkdir", dest)
		before := t.sh(next, place)
		for name, stream := range escapes {
			if err := t.conn.Put(t.ctx(), dest, bytes.NewReader(archive(stream(place)...))); err == nil {
				t.Errorf("%s: no error", name)
			}
			t.same(name+": around the directory", t.sh(next, place), before)
		}
	}},
	{"GoesOn", func(t *connTest) { // what is good arrives although something else was refused
		stream := archive(file{name: "../evil", body: "x"}, file{name: "good", body: "G"})
		if err := t.conn.Put(t.ctx(), path.Join(t.scratch(), "d"), bytes.NewReader(stream)); err == nil {
			t.Error("no error")
		}
		t.same("the good one", t.must("cat", path.Join(t.scratch(), "d/good")), "G")
	}},
}
