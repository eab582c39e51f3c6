package cfg_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/slapos/cfg"
)

const example = `# A client's file.
[slapos]
Master_URL = http://%(host)s:5000/
host: master.example
computer-id = COMP-1
shared_part_list =
  /opt/shared

  # where parts are made
  /opt/mine
odd = 100%%
[slapconsole]
alias =
  kvm https://software.example/kvm/software.cfg
  demo https://software.example/demo/software.cfg
[other program]
broken = %(nothing)s
`

func parse(t *testing.T, text string) *cfg.File {
	t.Helper()
	f, err := cfg.Parse("a.cfg", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFile(t *testing.T) {
	f := parse(t, example)
	for key, want := range map[string]string{
		"master_url": "http://master.example:5000/", "master-url": "http://master.example:5000/",
		"computer_id": "COMP-1", "odd": "100%", "none": "",
	} {
		if got, err := f.Text("slapos", key); got != want || err != nil {
			t.Errorf("%s: got = %q, err = %v; want got == want and no error", key, got, err)
		}
	}
	if lines, err := f.Lines("slapos", "shared_part_list"); err != nil || !slices.Equal(lines, []string{"/opt/shared", "/opt/mine"}) {
		t.Errorf("shared_part_list: %q, %v", lines, err)
	}
	if got := f.Sections(); !slices.Equal(got, []string{"slapos", "slapconsole", "other program"}) {
		t.Errorf("sections %q", got)
	}
	if got := f.Unknown(); !slices.Equal(got, []string{"a.cfg, line 11: odd in [slapos] has no meaning here"}) {
		t.Errorf("unknown: %q", got)
	}
	if _, err := f.Text("other program", "broken"); err == nil ||
		err.Error() != "a.cfg, line 17: broken in [other program] names %(nothing)s, and there is no nothing in [other program]" {
		t.Errorf("broken: %v", err)
	}
	c, err := f.Client()
	want := &cfg.Client{
		Master: "http://master.example:5000/",
		Aliases: []cfg.Alias{
			{Name: "kvm", URL: "https://software.example/kvm/software.cfg"},
			{Name: "demo", URL: "https://software.example/demo/software.cfg"},
		},
	}
	if diff := cmp.Diff(want, c); diff != "" || err != nil {
		t.Errorf("err = %v\ndiff = %s; want diff == \"\" and no error", err, diff)
	}
	if c.Release("kvm") != want.Aliases[0].URL || c.Release("/a/b") != "/a/b" {
		t.Error("an alias")
	}
}

func TestDefaultHoldsForAll(t *testing.T) {
	f := parse(t, "[DEFAULT]\nroot = /srv\n[slapos]\nsoftware_root = %(root)s/soft\n")
	if got, err := f.Text("slapos", "software_root"); got != "/srv/soft" || err != nil {
		t.Errorf(`got = %q, err = %v; want got == "/srv/soft" and no error`, got, err)
	}
}

func TestBadFiles(t *testing.T) {
	for text, want := range map[string]string{
		"a = 1":                         "line 1: it stands before the first [section]",
		"[slapos\n":                     "line 1: a section is written [name]",
		"[slapos]\nwhat\n":              "line 2: neither a section nor KEY = VALUE",
		"[slapos]\n= what\n":            "line 2: there is no key before =",
		"[slapos]\na-b = 1\nA_b: 2\n":   "line 3: A_b in [slapos] is in line 2 already",
		"[slapos]\na = \xff\n":          "line 2: it is not text in UTF-8",
		"[slapos]\nb = 1\n\n  c\nx\x00": "line 5: it is not text in UTF-8",
	} {
		_, err := cfg.Parse("a.cfg", []byte(text))
		if e, ok := errors.AsType[*cfg.Error](err); !ok || e.Error() != "a.cfg, "+want {
			t.Errorf(`%q: err = %v; want ok and e.Error() == "a.cfg, "+want`, text, err)
		}
	}
}

func TestBadValues(t *testing.T) {
	for text, want := range map[string]string{
		"[slapos]\nx = 1\n":                                                  "a.cfg: master_url in [slapos] is not there",
		"[slapos]\nmaster_url = 100%\n":                                      "a.cfg, line 2: master_url in [slapos] has a %",
		"[slapos]\nmaster_url = %(master_url)s\n":                            "goes through more than 10 other keys",
		"[slapos]\nmaster_url = ftp://a/\n":                                  "is no URL with http or https",
		"[slapos]\nx = 1\nmaster_url = http://\n":                            "a.cfg, line 3: master_url in [slapos] is no URL with http or https",
		"[slapos]\nmaster_url = https://a/\ncert_file = a\n":                 "key_file in [slapos] and cert_file are needed",
		"[slapos]\nmaster_url=http://a\n[slapconsole]\nalias=kvm\n":          `line 4: alias in [slapconsole] has a line that is not NAME URL: "kvm"`,
		"[slapos]\nmaster_url=http://a\n[slapconsole]\nalias=\n a b\n a c\n": "alias in [slapconsole] has a twice",
	} {
		if _, err := parse(t, text).Client(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: err = %v; want an error and err.Error() with want", text, err)
		}
	}
}

func TestClientFilesAreOfTheHome(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	c, err := parse(
		t,
		"[slapos]\nmaster_url = https://a/\nkey_file = /other\n[slapconsole]\ncert_file = ~/client.crt\nkey_file = ~/client.key\n",
	).Client()
	if err != nil || c.CertFile != "/home/me/client.crt" || c.KeyFile != "/home/me/client.key" {
		t.Errorf(
			"c = %+v, err = %v"+
				`; want no error and c.CertFile == "/home/me/client.crt" and c.KeyFile == "/home/me/client.key"`,
			c, err,
		)
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.cfg")
	if _, err := cfg.Read(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := cfg.Read(path); err != nil || f.Path != path {
		t.Errorf("err = %v; want no error and f.Path == path", err)
	}
	if err := os.WriteFile(path, make([]byte, cfg.MaxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.Read(path); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a large file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add("[a]\nb = %(b)s%(b)s\n c\n[a]\nd:e")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := cfg.Parse("a.cfg", []byte(text))
		if err != nil {
			return
		}
		_, _ = file.Client()
		_ = file.Unknown()
		for _, s := range file.Sections() {
			_, _ = file.Lines(s, "b")
		}
	})
}

func TestSectionsNameAddresses(t *testing.T) {
	f := parse(t, "[multimaster/http://[2001:db8::1]:5000/]\nkey = /k\n")
	if got := f.Sections(); !slices.Equal(got, []string{"multimaster/http://[2001:db8::1]:5000/"}) {
		t.Errorf("sections %q", got)
	}
	if _, err := cfg.Parse("a.cfg", []byte("[]\n")); err == nil {
		t.Error("a section has no name")
	}
}
