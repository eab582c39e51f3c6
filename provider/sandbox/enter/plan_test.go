package enter

import (
	"reflect"
	"testing"
)

func whole() *Plan {
	return &Plan{
		Hostname: "box-1", Scratch: "/tmp", Size: 1 << 40, Shm: 64 << 20, Disk: Tree{FD: 3, Path: "/x"}, Group: 7,
		Record: 8, Holds: []int{9, 10}, Mask: "/m",
		Pieces: []Piece{
			{At: "/", Kind: Overlay, Layers: []Tree{{FD: 2}, {Path: "/"}}},
			{At: "/a b", Kind: Bind, Layers: []Tree{{Path: "/c\nd"}}, Writable: true, Optional: true},
			{At: "/l", Kind: Link, Target: "../x"}, {At: "/d", Kind: Dir, Mode: 0o1777},
		},
		Files: map[string]string{"/etc/hostname": "box-1\n"}, Env: map[string]string{"HOME": "/root", "EMPTY": ""}, Dir: "/root", NProc: 9,
		PIDs: 100, PTYs: 64, AIO: true, Shared: true, Nesting: true, Without: []string{"seccomp"},
	}
}

// A plan arrives as it was sent; no part of it is left out on the way, and none is misread when it
// is cut short.
func TestPlan(t *testing.T) {
	want := whole()
	b := want.Bytes()
	got, err := readPlan(b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("err = %v\ngot = %+v\nwant = %+v; want no error and got == want", err, got, want)
	}
	for i := range reflect.TypeFor[Plan]().NumField() {
		if f := reflect.TypeFor[Plan]().Field(i); f.IsExported() && reflect.ValueOf(want).Elem().Field(i).IsZero() {
			t.Errorf("the test sets no %s", f.Name)
		}
	}
	for n := range b {
		if _, err := readPlan(b[:n]); err == nil {
			t.Errorf("%d bytes of %d pass for a plan", n, len(b))
		}
	}
	if _, err := readPlan(append(b, 0)); err == nil {
		t.Error("a byte too many passes")
	}
}

func TestAnswer(t *testing.T) {
	want := Answer{Step: "mount", Error: "no", Errno: 1, Lacks: []Lack{{"/home/x", "not here"}}}
	if got, err := ReadAnswer(want.bytes()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got = %+v, err = %v; want no error and got == want", got, err)
	}
	if got, err := ReadAnswer((&Answer{}).bytes()); err != nil || !reflect.DeepEqual(got, Answer{}) {
		t.Errorf("got = %+v, err = %v; want no error and got == Answer{}", got, err)
	}
}

// An answer may come from a hostile first process.
func FuzzReadAnswer(f *testing.F) {
	f.Add((&Answer{Step: "mount", Error: "no", Errno: 1}).bytes())
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ReadAnswer(b)
		if err == nil && len(a.Step)+len(a.Error) > len(b) {
			t.Errorf("%d bytes became %+v", len(b), a)
		}
	})
}

func FuzzReadPlan(f *testing.F) {
	f.Add(whole().Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := readPlan(b); err == nil && len(p.Pieces) > len(b) {
			t.Errorf("%d bytes became %d pieces", len(b), len(p.Pieces))
		}
	})
}
