package applied_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/applied"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

var ann = applied.Caller{Name: "ann"}

func openStore(t testing.TB) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// source is a source with that text, and further files.
func source(name, text string, files ...api.ThingFile) api.WantedThing {
	return api.WantedThing{Kind: applied.Source, Name: name, Files: append([]api.ThingFile{{Path: "source.conf", Text: text}}, files...)}
}

func set(labels string, things ...api.WantedThing) api.ApplySet {
	out := api.ApplySet{Things: things}
	if key, value, ok := strings.Cut(labels, "="); ok {
		out.Labels = map[string]string{key: value}
	}
	return out
}

// actions are what becomes of things, in a line.
func actions(a api.ApplyAnswer) string {
	var out []string
	for _, c := range a.Changes {
		out = append(out, c.Kind+" "+c.Name+" "+c.Action)
	}
	return strings.Join(out, ", ")
}

func isKind(t *testing.T, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
}

func all(t *testing.T, s store.Transactor) api.AppliedSet {
	t.Helper()
	out, err := applied.Read(t.Context(), s, true)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestApply: what becomes of things, and that nothing is written where nothing changes.
func TestApply(t *testing.T) {
	s := openStore(t)
	told := 0
	b := applied.New(applied.Options{Store: s, Changed: func(context.Context) error { told++; return nil }})
	apply := func(want string, in api.ApplySet) api.ApplyAnswer {
		t.Helper()
		out, err := b.Apply(t.Context(), ann, in)
		if err != nil {
			t.Fatal(err)
		}
		if got := actions(out); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		return out
	}
	bundle := api.WantedThing{
		Kind: applied.Bundle, Name: "tool",
		Files: []api.ThingFile{
			{Path: "scripts/x.sh", Mode: "0775", Text: "true\n"}, {Path: "bundle.conf", Text: "scripts = x.sh\n"},
			{Path: "files/b", Base64: []byte("a\x00b")},
		},
	}
	first := set("app=ci", source("web", "type = fake\n"), bundle)
	apply("bundle tool created, source web created", api.ApplySet{Labels: first.Labels, Things: first.Things, DryRun: true})
	if got := all(t, s); got.Revision != 0 || len(got.Things) != 0 || told != 0 {
		t.Errorf("after a dry run there is %+v", got)
	}
	apply("bundle tool created, source web created", first)
	before := all(t, s)
	if out := apply("bundle tool unchanged, source web unchanged", first); out.Revision != 1 || told != 1 {
		t.Errorf("revision %d, told %d times, after the same again", out.Revision, told)
	}
	if got := all(t, s); !reflect.DeepEqual(got, before) {
		t.Errorf("the same again has written %+v over %+v", got, before)
	}
	if got := before.Things[0].Files; len(got) != 3 || got[0].Path != "bundle.conf" || got[2].Mode != "0755" ||
		string(got[1].Base64) != "a\x00b" {
		t.Errorf("the normal form is %+v", got)
	}
	// labels that are not said stay
	apply("source web unchanged", set("", source("web", "type = fake\n")))
	apply("source other created", set("app=other", source("other", "type = fake\n")))
	next := set("app=ci", source("new", "type = fake\n"), source("web", "type = fake\nreserve = 1\n"))
	next.Prune = true
	apply("bundle tool pruned, source new created, source web changed", next)
	got := all(t, s)
	var names []string
	for _, one := range got.Things {
		names = append(names, fmt.Sprint(one.Name, one.Labels["app"], one.Revision, one.By))
	}
	if want := []string{"newci3ann", "otherother2ann", "webci3ann"}; !slices.Equal(names, want) || got.Revision != 3 {
		t.Errorf("%v at revision %d, want %v", names, got.Revision, want)
	}
	moved := set("app=moved", source("web", "type = fake\nreserve = 1\n"))
	_, err := b.Apply(t.Context(), ann, moved)
	isKind(t, "another set's", err, compute.ErrConflict)
	moved.Take = true
	apply("source web changed", moved)
	next.Things = nil
	apply("source new pruned", next)
	if list, err := b.List(t.Context(), map[string]string{"app": "moved"}); err != nil || len(list.Things) != 1 ||
		list.Things[0].Name != "web" || list.Things[0].Files != nil {
		t.Errorf("a list by label is %+v, %v", list, err)
	}
	told = 0
	failed := errors.New("no")
	b.Check = func(context.Context, applied.Candidate) (map[string]string, []string, error) { return nil, nil, failed }
	was := all(t, s)
	if _, err := b.Apply(t.Context(), ann, set("app=ci", source("bad", "type = fake\n"))); !errors.Is(err, failed) {
		t.Error(err)
	}
	if !reflect.DeepEqual(all(t, s), was) || told != 0 {
		t.Error("what is refused has changed something")
	}
}

// TestInvalid: what cannot be is refused whole.
func TestInvalid(t *testing.T) {
	s := openStore(t)
	b := applied.New(applied.Options{Store: s})
	good := source("good", "type = fake\n")
	path := func(p string) api.ApplySet { return set("", good, source("web", "x", api.ThingFile{Path: p})) }
	for what, in := range map[string]api.ApplySet{
		"no name": set("", source("", "")), "a path as a name": set("", source("../x", "")),
		"a name with a slash": set("", source("a/b", "")), "a hidden name": set("", source(".x", "")),
		"an option":   set("", source("-x", "")),
		"a long name": set("", source(strings.Repeat("a", 64), "")),
		"no kind":     set("", api.WantedThing{Kind: "job", Name: "a"}), "twice": set("", good, good),
		"no conf": set("", api.WantedThing{Kind: applied.Source, Name: "web", Files: []api.ThingFile{{Path: "other"}}}),
		"up":      path("../../x"), "up in it": path("a/../../x"), "absolute": path("/etc/passwd"), "empty": path(""),
		"itself": path("."), "a dot": path("a/./b"), "a slash behind": path("a/"), "a control": path("a\nb"),
		"a file twice": path("source.conf"), "below a file": path("source.conf/x"),
		"a long part": path(strings.Repeat("a", 256)), "a long path": path(strings.Repeat("a/", 600) + "b"),
		"unreadable": set(
			"", source("web", "", api.ThingFile{Path: "x", Mode: "0755"}),
			api.WantedThing{Kind: applied.Bundle, Name: "b", Files: []api.ThingFile{{Path: "bundle.conf", Mode: "0000"}}},
		),
		"both":                  set("", source("web", "", api.ThingFile{Path: "x", Text: "a", Base64: []byte("b")})),
		"large":                 set("", source("web", strings.Repeat("a", applied.MaxThing+1))),
		"prune without a label": {Prune: true, Things: []api.WantedThing{good}}, "an odd label": set("a b=c", good),
		"a label with a comma": set("a=b,c", good),
		"no key":               {Labels: map[string]string{"": "x"}, Things: []api.WantedThing{good}},
	} {
		_, err := b.Apply(t.Context(), ann, in)
		isKind(t, what, err, compute.ErrInvalid)
	}
	if got := all(t, s); got.Revision != 0 {
		t.Errorf("something was written: %+v", got)
	}
}

// TestOne: a thing by itself, by its revision.
func TestOne(t *testing.T) {
	b := applied.New(applied.Options{Store: openStore(t)})
	ctx := t.Context()
	put := api.PutThing{Labels: map[string]string{"a": "b"}, Files: []api.ThingFile{{Path: "source.conf", Text: "type = fake\n"}}}
	_, err := b.Put(ctx, ann, "source", "web", put, applied.Match{Revision: 3})
	isKind(t, "changed what is not there", err, compute.ErrStale)
	one, err := b.Put(ctx, ann, "source", "web", put, applied.Match{None: true})
	if err != nil || one.Revision != 1 {
		t.Fatalf("one = %v, err = %v; want no error and one.Revision == 1", one, err)
	}
	_, err = b.Put(ctx, ann, "source", "web", put, applied.Match{None: true})
	isKind(t, "made again", err, compute.ErrStale)
	same := func(what string, want api.AppliedThing) {
		t.Helper()
		got, err := b.Get(ctx, "source", "web")
		if got.At.Equal(want.At) {
			got.At = want.At
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", what, got, err, want)
		}
	}
	same("made", one)
	if again, err := b.Put(
		ctx, applied.Caller{Name: "bea"}, "source", "web", put, applied.Match{Revision: 1},
	); err != nil || again.Revision != 1 || again.By != "ann" {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	put.Labels = nil
	two, err := b.Put(ctx, ann, "source", "web", put, applied.Match{Revision: 1})
	if err != nil || two.Revision != 2 || len(two.Labels) != 0 {
		t.Fatalf("two = %v, err = %v; want no error and two.Revision == 2 and len(two.Labels) == 0", two, err)
	}
	same("without labels", two)
	isKind(t, "taken away as it was", b.Delete(ctx, ann, "source", "web", applied.Match{Revision: 1}), compute.ErrStale)
	if err := b.Delete(ctx, ann, "source", "web", applied.Match{Revision: 2}); err != nil {
		t.Fatal(err)
	}
	isKind(t, "taken away twice", b.Delete(ctx, ann, "source", "web", applied.Match{}), compute.ErrNotFound)
	_, err = b.Get(ctx, "source", "web")
	isKind(t, "looked at when it is gone", err, compute.ErrNotFound)
	if three, err := b.Put(ctx, ann, "source", "web", put, applied.Match{}); err != nil || three.Revision != 4 {
		t.Errorf("made anew: revision %d, %v", three.Revision, err) // no revision comes again
	}
}

// TestTogether: of many who apply at once none undoes another's.
func TestTogether(t *testing.T) {
	s := openStore(t)
	var group sync.WaitGroup
	for i := range 6 {
		group.Go(func() {
			b := applied.New(applied.Options{Store: s})
			if _, err := b.Apply(t.Context(), ann, set(fmt.Sprint("n=", i), source(fmt.Sprint("web", i), "type = fake\n"))); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := all(t, s); got.Revision != 6 || len(got.Things) != 6 {
		t.Errorf("revision %d, %d things", got.Revision, len(got.Things))
	}
}

// TestDiff: what a diff shows, and what not.
func TestDiff(t *testing.T) {
	b := applied.New(applied.Options{Store: openStore(t)})
	key := "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n"
	if _, err := b.Apply(
		t.Context(), ann,
		set(
			"a=b",
			source(
				"web", "type = fake\nreserve = 1", api.ThingFile{Path: "key", Text: key},
				api.ThingFile{Path: "bin", Base64: []byte("\x00")}, api.ThingFile{Path: "run"},
			),
		),
	); err != nil {
		t.Fatal(err)
	}
	in := set(
		"a=c",
		source(
			"web", "type = fake\nreserve = 2\n", api.ThingFile{Path: "key", Text: key + "d\n"},
			api.ThingFile{Path: "bin", Base64: []byte("\x00\x01")}, api.ThingFile{Path: "run", Mode: "0755"},
		),
	)
	in.DryRun, in.Diff, in.Take = true, true, true
	out, err := b.Apply(t.Context(), ann, in)
	if err != nil {
		t.Fatal(err)
	}
	const want = `--- a/sources/web (labels)
+++ b/sources/web (labels)
@@ -1,1 +1,1 @@
-a=b
+a=c
sources/web/bin: (binary, 1 bytes to 2)
sources/web/key: (a private key is in it, so it is not shown)
sources/web/run: mode 0644 to 0755
--- a/sources/web/source.conf
+++ b/sources/web/source.conf
@@ -1,2 +1,2 @@
 type = fake
-reserve = 1
\ No newline at end of file
+reserve = 2
`
	if len(out.Changes) != 1 || out.Changes[0].Diff != want {
		t.Errorf("%+v\nwant\n%s", out.Changes, want)
	}
}
