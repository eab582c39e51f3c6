package promise

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTell(t *testing.T) {
	for _, c := range []struct {
		failed bool
		access string
		want   Report
	}{
		{true, "", Broken}, {true, "#access started", Broken}, {true, "#error no data found for P", Nothing}, {true, "#error x", Nothing},
		{false, "", Well}, {false, "#error x", Well}, {false, "#access started", Nothing},
	} {
		if got := ReportFor(c.failed, c.access); got != c.want {
			t.Errorf("failed %t, heard %q: %d, want %d", c.failed, c.access, got, c.want)
		}
	}
}

func TestTitle(t *testing.T) {
	for name, want := range map[string]string{
		"check-url.py": "check-url", "legacy-ok": "legacy-ok", "a.b.py": "a.b", ".sh": ".sh", "..sh": "..sh",
		"...": "...", ".a.sh": ".a", "a.": "a",
	} {
		if got := Title(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestHours has each result of a day in its hour.
func TestHours(t *testing.T) {
	until := HourEnd(time.Date(2026, 11, 22, 7, 8, 5, 0, time.UTC))
	var all []Entry
	for _, of := range []struct {
		ago           time.Duration
		asked, failed int
	}{
		{25 * time.Hour, 3, 3}, {24 * time.Hour, 1, 1}, {23 * time.Hour, 30, 1}, {10 * time.Hour, 4, 0},
		{2 * time.Hour, 4, 2}, {time.Minute, 2, 2}, {-time.Minute, 5, 5},
	} {
		for i := range of.asked {
			all = append(all, Entry{Date: until.Add(-of.ago), Failed: i < of.failed})
		}
	}
	if got, want := Hours(all, until), "91"+strings.Repeat("-", 12)+"0"+strings.Repeat("-", 7)+"4"+"9"; got != want || len(got) != Day {
		t.Errorf("%s, want %s", got, want)
	}
	if got := Hours(nil, until); got != strings.Repeat("-", Day) {
		t.Error(got)
	}
}

func TestDue(t *testing.T) {
	now := time.Unix(1_795_000_000, 0)
	was := now.Add(-time.Hour)
	known := state{
		Tested: true, Anomaly: true, Period: 2, File: "/srv/p0/etc/promise/a", MTime: seconds(was), known: true,
		Next: seconds(now.Add(time.Minute)),
	}
	p := func(change func(*foundPromise)) foundPromise {
		o := foundPromise{title: "a", name: "a", file: "etc/promise/a", mtime: was, state: known, last: &Result{}}
		change(&o)
		return o
	}
	for name, c := range map[string]struct {
		p             foundPromise
		mode          Mode
		force         bool
		due, counting bool
	}{
		"not yet":        {p: p(func(*foundPromise) {}), mode: Anomaly, counting: true},
		"forced":         {p: p(func(*foundPromise) {}), mode: Test, force: true, due: true, counting: true},
		"period is over": {p: p(func(o *foundPromise) { o.state.Next = seconds(now) }), mode: Test, due: true, counting: true},
		"clock set back": {
			p: p(func(o *foundPromise) { o.state.Next = seconds(now.Add(time.Hour)) }), mode: Test, due: true, counting: true,
		},
		"never run":        {p: p(func(o *foundPromise) { o.state, o.last = state{}, nil }), mode: Test, due: true},
		"result is lost":   {p: p(func(o *foundPromise) { o.last = nil }), mode: Test, due: true},
		"another file":     {p: p(func(o *foundPromise) { o.mtime = now }), mode: Test, due: true, counting: true},
		"another promise":  {p: p(func(o *foundPromise) { o.file = "etc/plugin/a" }), mode: Test, due: true, counting: true},
		"for tests only":   {p: p(func(o *foundPromise) { o.state.Anomaly, o.state.Next = false, 0 }), mode: Anomaly},
		"for tests only 2": {p: p(func(o *foundPromise) { o.state.Anomaly = false }), mode: Test, force: true, due: true, counting: true},
		"anomalies only":   {p: p(func(o *foundPromise) { o.state.Tested = false }), mode: Test, force: true},
		"period of nonsense": {
			p: p(func(o *foundPromise) { o.state.Period, o.state.Next = -5, seconds(now.Add(time.Minute)) }), mode: Test,
			counting: true,
		},
	} {
		if due, counts := c.p.due(now, c.mode, c.force), c.p.countsIn(c.mode); due != c.due || counts != c.counting {
			t.Errorf("%s: due %t, counts %t", name, due, counts)
		}
	}
}

func TestInterpreter(t *testing.T) {
	for text, want := range map[string][]string{
		"#!/usr/bin/pypy3\nimport sys\n":                            {"/usr/bin/pypy3"},
		"#! /usr/bin/python3 -S\n":                                  {"/usr/bin/python3", "-S"},
		"#!/usr/bin/env python3\n":                                  {"/usr/bin/env", "python3"},
		"#!/bin/sh\n'''exec' /a/b/python -x \"$0\" \"$@\"\n' '''\n": {"/a/b/python"},
		"#!/bin/sh\n\"exec\" \"/a/b/python\" \"$0\"\n":              {"/a/b/python"},
		"#!/bin/sh\nexec /a/python3.7 -S $0\n":                      {"/a/python3.7"},
		"#!/bin/sh\necho no\n":                                      nil,
		"#!python\n":                                                nil,
		"\x7fELF":                                                   nil,
		"":                                                          nil,
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "bin/buildout"), text, 0o755)
		got, err := interpreter(dir)
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: got = %q, err = %v; want got == want and (err == nil) == (want != nil)", text, got, err)
		}
	}
}

func TestLast(t *testing.T) {
	long := strings.Repeat("x", 3) + strings.Repeat("é", maxMessage)
	if got := last(long + "\n"); got != strings.Repeat("é", maxMessage) {
		t.Errorf("%d bytes", len(got))
	}
	if got := last("a\xffb \n"); got != "a\uFFFDb" {
		t.Errorf("got = %q; want got == \"a\\uFFFDb\"", got)
	}
}

func write(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
