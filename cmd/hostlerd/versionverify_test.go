package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/hostler-project/hostler/host/program"
	"github.com/hostler-project/hostler/host/provenance"
)

// TestVerify has the real program say what it is made of, and tell that apart from another go.sum.
func TestVerify(t *testing.T) {
	for _, name := range []string{"hostler", program.Whole} {
		t.Run(name, func(t *testing.T) { verifies(t, name) })
	}
}

func verifies(t *testing.T, name string) {
	m := newMachine(t)
	m.program = lookIn(plainPath(t), name)
	var v provenance.Made
	if err := json.Unmarshal([]byte(m.must("version", "--verify", "--json")), &v); err != nil {
		t.Fatal(err)
	}
	if !v.Verified || len(v.Modules) < 20 || len(v.SHA256) != 64 || v.Version == "" {
		t.Errorf("it is made of %+v, want it verified, with a version, a digest and 20 modules or more", v)
	}
	for _, p := range v.Modules {
		if p.Error != "" || !strings.HasPrefix(p.Sum, "h1:") {
			t.Errorf("module %+v, want a sum and no error", p)
		}
	}
	sums, err := os.ReadFile("../../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	first := v.Modules[0]
	other := filepath.Join(m.dir, "go.sum")
	for what, text := range map[string]string{
		"go.sum has h1:other":     strings.Replace(string(sums), first.Sum, "h1:other=", 1),
		"go.sum does not have it": strings.Replace(string(sums), first.Name+" "+first.Version+" ", "x v1 ", 1),
	} {
		if err := os.WriteFile(other, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, errs, exit := m.run("version", "--verify", "--sums", other)
		if exit != 6 || !strings.Contains(out, what) || !strings.Contains(errs, "not as it should be: 1 part of this program") {
			t.Errorf("%s: exit status %d, %s", what, exit, errs)
		}
	}
}

// licences are those that modules may have, by words of their texts without line ends. The first
// that fits counts.
var licences = []struct {
	name  string
	words []string
}{
	{"Apache-2.0", []string{"Apache License", "Version 2.0"}},
	{"MPL-2.0", []string{"Mozilla Public License", "2.0"}},
	{
		"MIT",
		[]string{"Permission is hereby granted, free of charge", "The above copyright notice and this permission notice shall be included"},
	},
	{"ISC", []string{"Permission to use, copy, modify, and", "distribute this software for any purpose with or without fee"}},
	{"BSD-3-Clause", []string{"Redistribution and use in source and binary forms", "endorse or promote products derived from"}},
	{"BSD-2-Clause", []string{"Redistribution and use in source and binary forms", "this list of conditions"}},
	{"public domain", []string{"All of the code and documentation in SQLite has been dedicated to the public domain"}},
	{"Unlicense", []string{"This is free and unencumbered software released into the public domain"}},
}

// unlinked are texts beside a module's licence that are of nothing that is linked.
var unlinked = map[string]string{
	"LICENSE.docs": "its documents", "LICENSE-LOGO": "a picture",
	"LICENSE-3RD-PARTY.md": "an account of the texts beside it",
}

// licenceOf is that of a text; "": none that is known.
func licenceOf(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	for _, l := range licences {
		if !slices.ContainsFunc(l.words, func(w string) bool { return !strings.Contains(text, w) }) {
			return l.name
		}
	}
	return ""
}

// TestLicences: each module that is linked has a licence that is known, and docs/licenses.md lists
// them all. HOSTLER_WRITE=1 writes that page.
func TestLicences(t *testing.T) {
	info, err := buildinfo.ReadFile(lookIn(plainPath(t), program.Whole))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Skip("TestLicences: there is no go command")
	}
	var page strings.Builder
	page.WriteString("# Modules that are part of hostler, and their licences\n\nMade by `HOSTLER_WRITE=1 go test ./cmd/hostlerd -run TestLicences`, from the texts that the modules come with. A test holds it to what is linked,\n" +
		"and fails for a module without a licence that it knows. `hostler version --verify` lists the modules of a program with their versions and sums.\n\n| module | licence |\n|---|---|\n")
	counts := map[string]int{}
	for _, m := range info.Deps {
		found := moduleLicences(t, filepath.Join(strings.TrimSpace(string(cache)), escapedModule(m.Path)+"@"+m.Version))
		if len(found) == 0 || slices.Contains(found, "") {
			t.Errorf(
				"%s %s: a licence that is not known: look at it, and add it to the list of this test if it may be linked",
				m.Path, m.Version,
			)
		}
		fmt.Fprintf(&page, "| %s | %s |\n", m.Path, strings.Join(found, ", "))
		for _, l := range found {
			counts[l]++
		}
	}
	t.Log(len(info.Deps), "modules:", slices.Sorted(maps.Keys(counts)), counts)
	const file = "../../docs/licenses.md"
	if os.Getenv("HOSTLER_WRITE") != "" {
		if err := os.WriteFile(file, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != page.String() {
		t.Errorf("%s is not what is linked (%v): HOSTLER_WRITE=1 go test ./cmd/hostlerd -run TestLicences writes it", file, err)
	}
}

// moduleLicences are those of the texts in a module's own directory.
func moduleLicences(t *testing.T, dir string) (out []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Skipf("TestLicences: %v: go mod download fetches it", err)
	}
	for _, e := range all {
		name := strings.ToUpper(e.Name())
		if e.IsDir() || !strings.HasPrefix(name, "LICEN") && !strings.HasPrefix(name, "COPYING") || unlinked[e.Name()] != "" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, licenceOf(string(text)))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// escapedModule is a module's path as the cache has it.
func escapedModule(path string) string {
	var b strings.Builder
	for _, r := range path {
		if unicode.IsUpper(r) {
			b.WriteByte('!')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// TestLicenceOf: a text that no list has is told.
func TestLicenceOf(t *testing.T) {
	if got := licenceOf("All rights reserved. You may not use this."); got != "" {
		t.Error(got)
	}
	if got := licenceOf("GNU GENERAL PUBLIC LICENSE Version 3"); got != "" {
		t.Error(got)
	}
}
