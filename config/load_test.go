package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/config"
)

// world is a home and a working directory with files in them.
type world struct {
	t         *testing.T
	home, dir string
	env       map[string]string
	opt       config.LoadOptions
}

var typeKeys = map[string][]string{"local": {}, "chroot": {"base"}, "ssh": {"ssh_host", "hosts", "config", "user"},
	"fake": {"delay", "fail"}, "exec": {"*"}, "vm": {"*"}, "container": {"*"},
	"odd": {"size"}, "kubernetes": {"*"}, "ec2": {"*"}}

func newWorld(t *testing.T) *world {
	w := &world{t: t, home: t.TempDir(), dir: t.TempDir(), env: map[string]string{}}
	w.opt = config.LoadOptions{
		Dir: w.dir, Home: w.home, Env: func(k string) string { return w.env[k] }, System: filepath.Join(w.home, "etc"),
		Kinds: table(typeKeys),
	}
	return w
}

// file writes NAME below the working directory, or below home as ~/NAME.
func (w *world) file(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		path = filepath.Join(w.home, rest)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) load() *config.Config {
	w.t.Helper()
	c, err := config.Load(w.opt)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// approve has the user trust all trees as they are.
func (w *world) approve() {
	w.t.Helper()
	w.opt.Trust.Dir = filepath.Join(w.home, "trust")
	for _, d := range w.load().NeedsTrust() {
		if err := w.opt.Trust.Approve(d); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) source(name string) *config.Source {
	w.t.Helper()
	s, err := w.load().Source(name)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func names(c *config.Config) (out []string) {
	for _, s := range c.Sources {
		out = append(out, s.Name)
	}
	return out
}

func TestNothing(t *testing.T) {
	c := newWorld(t).load()
	if len(c.Sources) != 1 || c.Sources[0].Name != "local" || c.Sources[0].Type != "local" || c.Sources[0].Err != nil ||
		c.Sources[0].Digest == "" {
		t.Errorf("sources = %+v", c.Sources)
	}
	if len(c.Warnings) > 0 || len(c.NeedsTrust()) > 0 {
		t.Error("warnings about nothing")
	}
}

// Each root in its order hides all the later ones, source by source. A sandbox is there without
// configuration too, where sandboxes can be made; not for crcache, which had none.
func TestImplicitSandbox(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("sandbox: only Linux makes them")
	}
	keys := map[string][]string{"sandbox": {"memory"}, "local": {}}
	opt := config.LoadOptions{
		Home: t.TempDir(), Dir: t.TempDir(), System: t.TempDir(), Env: func(string) string { return "" }, Kinds: table(keys),
	}
	c, err := config.Load(opt)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(c); !slices.Equal(got, []string{"local", "sandbox"}) {
		t.Errorf("sources %q", got)
	}
	if s, err := c.Source("sandbox"); err != nil || s.Type != "sandbox" || s.Err != nil || s.Digest == "" {
		t.Errorf(`s = %+v, err = %v; want no error and s.Type == "sandbox" and no error and s.Digest != ""`, s, err)
	}
	opt.Compat = true
	if c, err = config.Load(opt); err != nil || len(c.Sources) != 1 {
		t.Errorf("for crcache: %q, %v", names(c), err)
	}
}

func TestRootsInOrder(t *testing.T) {
	w := newWorld(t)
	w.env["HOSTLER_CONFIG"] = filepath.Join(w.home, "env")
	w.opt.ConfigDir = filepath.Join(w.home, "flag")
	w.opt.Dir = filepath.Join(w.dir, "a/b")
	os.MkdirAll(w.opt.Dir, 0o755)
	roots := []string{"~/flag", "~/env", "~/.config/hostler", ".hostler", "~/etc", "~/.config/crcache", "a/b/.crcache"}
	kinds := []string{"flag", "env", "user", "tree", "system", "crcache-user", "crcache-tree"}
	var files []string
	for _, r := range roots {
		files = append(files, w.file(r+"/sources/x/source.conf", "[DEFAULT]\ntype = fake\n"))
	}
	for i, kind := range kinds {
		if s := w.source("x"); errors.Is(s.Err, config.ErrUntrusted) != (kind == "tree") {
			t.Errorf("%s: before it is approved: %v", kind, s.Err)
		}
		w.approve()
		c := w.load()
		s, _ := c.Source("x")
		if s.File != files[i] || s.Err != nil || s.Tree != (kind == "tree" || kind == "crcache-tree") {
			t.Errorf(
				"%s: s = %+v"+
					`; want s.File == files[i] and no error and s.Tree == (kind == "tree" || kind == "crcache-tree")`,
				kind, s,
			)
		}
		if !slices.Equal(s.Shadowed, files[i+1:]) {
			t.Errorf("%s: shadowed %q", kind, s.Shadowed)
		}
		var got []string
		for _, r := range c.Roots {
			if r.Exists {
				got = append(got, r.Kind)
			}
		}
		if len(got) != len(kinds) || !slices.Equal(got, kinds) {
			t.Errorf("roots = %q", got)
		}
		os.RemoveAll(filepath.Dir(files[i]))
	}
	if got := names(w.load()); !slices.Equal(got, []string{"local"}) {
		t.Errorf("at last %q", got)
	}
}

func TestXDG(t *testing.T) {
	w := newWorld(t)
	w.file("~/.config/hostler/sources/plain/source.conf", "type = fake")
	w.file("~/xdg/hostler/sources/xdg/source.conf", "type = fake")
	for value, want := range map[string]string{"": "plain", "relative": "plain", filepath.Join(w.home, "xdg"): "xdg"} {
		w.env["XDG_CONFIG_HOME"] = value
		if got := names(w.load()); !slices.Equal(got, []string{"local", want}) {
			t.Errorf(`%q: got = %q; want got == []string{"local", want}`, value, got)
		}
	}
}

func TestCompatReadsItsRootsAlone(t *testing.T) {
	w := newWorld(t)
	w.opt.Compat = true
	w.opt.ConfigDir = filepath.Join(w.home, "flag")
	w.file("~/flag/sources/a/source.conf", "type = fake")
	w.file("~/.config/hostler/sources/b/source.conf", "type = fake")
	w.file(".hostler/sources/c/source.conf", "type = fake")
	w.file("~/.config/hostler/hostler.conf", "[defaults]\nsource = b")
	w.file("~/.config/crcache/sources/d/source.conf", "type: model\nunheard: of\n")
	w.file(".crcache/sources/e/source.conf", "type: local")
	w.opt.Dir = w.dir
	c := w.load()
	if got := names(c); !slices.Equal(got, []string{"d", "e", "local"}) || c.Defaults.Source != "" {
		t.Errorf("sources %q, default %q", got, c.Defaults.Source)
	}
	if s, _ := c.Source("d"); s.Type != "fake" || s.Err != nil || len(c.Warnings) != 1 ||
		!strings.Contains(c.Warnings[0].Error(), "unheard") {
		t.Errorf("%+v, warnings %v", s, c.Warnings)
	}
	w.opt.Dir = filepath.Join(w.dir, "below")
	os.Mkdir(w.opt.Dir, 0o755)
	if got := names(w.load()); !slices.Equal(got, []string{"d", "local"}) {
		t.Errorf("from below: %q", got)
	}
}

func TestCrcacheVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/crcache.json")
	if err != nil {
		t.Fatal(err)
	}
	var scenarios []struct {
		Files map[string]string
		Want  map[string]struct {
			Type, Root string
			Reserve    int
			Sources    []string
			SSHHost    string `json:"ssh_host"`
			Shadowed   int
		}
	}
	if err := json.Unmarshal(data, &scenarios); err != nil || len(scenarios) == 0 {
		t.Fatal(err)
	}
	for _, sc := range scenarios {
		for _, compat := range []bool{true, false} {
			w := newWorld(t)
			w.opt.Compat = compat
			for name, text := range sc.Files {
				w.file(name, text)
			}
			w.approve()
			c := w.load()
			roots := map[string]string{"": "", "user": filepath.Join(w.home, ".config/crcache"), "tree": filepath.Join(w.dir, ".crcache")}
			if len(c.Sources) != len(sc.Want) {
				t.Errorf("sources %q, want %d", names(c), len(sc.Want))
			}
			for name, want := range sc.Want {
				s, err := c.Source(name)
				if err != nil {
					t.Error(err)
					continue
				}
				if s.Err != nil || s.Type != want.Type || s.Reserve != want.Reserve || s.Root != roots[want.Root] ||
					s.Settings["ssh_host"] != want.SSHHost ||
					!slices.Equal(s.Sources, want.Sources) || len(s.Shadowed) != want.Shadowed {
					t.Errorf("%s = %+v\nwant %+v", name, s, want)
				}
			}
		}
	}
}

func TestFormats(t *testing.T) {
	for name, text := range map[string]string{
		"ini at the top":  "type = pool\nreserve=2\nsources = a, b\n",
		"ini in DEFAULT":  "# a comment\n; another\n\n[DEFAULT]\ntype: pool\nreserve = 2 ; two\nsources:\n  a\n  # not c\n  b # last\n",
		"ini of windows":  "\ufeff[DEFAULT]\r\ntype = pool\r\nreserve = 2\r\nsources = a,b\r\n",
		"ini indented":    "  type = pool\n  reserve = \"2\"\n  sources = a,\n     b\n",
		"yaml":            "# a comment\ntype: pool\nreserve: 2\nsources: [a, b]\n",
		"yaml strings":    "---\n\"type\": 'pool'\nreserve: \"2\"\nsources:\n- a\n- b\n",
		"yaml with comma": "type: pool\nreserve: 0x2\nsources: a, b\n",
	} {
		w := newWorld(t)
		w.file(".crcache/sources/p/source.conf", text)
		w.file("~/.config/crcache/sources/a/source.conf", "type: local")
		w.file("~/.config/crcache/sources/b/source.conf", "type: local")
		w.approve()
		s := w.source("p")
		if s.Err != nil || s.Type != "pool" || s.Reserve != 2 || !slices.Equal(s.Sources, []string{"a", "b"}) {
			t.Errorf(
				"%s: s = %+v"+
					`; want no error and s.Type == "pool" and s.Reserve == 2 and s.Sources == []string{"a", "b"}`,
				name, s,
			)
		}
		line := 0
		for i, l := range strings.Split(text, "\n") {
			if strings.Contains(l, "reserve") {
				line = i + 1
			}
		}
		if v := s.Values["reserve"]; v.Line != line || v.File != s.File {
			t.Errorf("%s: reserve stands in line %d, not %d", name, line, v.Line)
		}
	}
}

func TestOursAreINIAlone(t *testing.T) {
	w := newWorld(t)
	w.file(".hostler/sources/p/source.conf", "type: pool\nsources: [local]\n")
	if s := w.source("p"); s.Err == nil {
		t.Errorf("s = %+v; want an error", s)
	}
}

func TestAllKeys(t *testing.T) {
	w := newWorld(t)
	w.file("~/.config/hostler/sources/s/source.conf", `type = fake
reserve = 1
spare = 2
maximum = 3
concurrency = 4
share = no
reuse = as_is
ttl = 1d12h
max-ttl = none
lease-idle = 30m
idle = 0
max_age = 2d
max-uses = 5
image = http://example.org/a;b#c
flavor = m1.small
bundles = a, b
on-failure = hold
auto_confirm_dead = 45m
hook-timeout = 90s
[fake]
delay = 1s
fail = create#2   # the second
`)
	os.MkdirAll(filepath.Join(w.home, ".config/hostler/sources/s/check.d"), 0o755)
	w.file("~/.config/hostler/bundles/a/bundle.conf", "")
	w.file("~/.config/hostler/bundles/b/bundle.conf", "")
	s := w.source("s")
	if s.Err != nil {
		t.Fatal(s.Err)
	}
	ints := []int{s.Reserve, s.Spare, s.Maximum, s.Concurrency, s.MaxUses}
	if !slices.Equal(ints, []int{1, 2, 3, 4, 5}) || s.Share || s.Reuse != "as-is" || s.OnFailure != "hold" {
		t.Errorf(`s = %+v; want ints == []int{1, 2, 3, 4, 5} and !s.Share and s.Reuse == "as-is" and s.OnFailure == "hold"`, s)
	}
	for i, d := range []*time.Duration{s.TTL, s.MaxTTL, s.LeaseIdle, s.Idle, s.MaxAge, s.HookTimeout, s.ConfirmDead} {
		want := []time.Duration{36 * time.Hour, -1, 30 * time.Minute, 0, 48 * time.Hour, 90 * time.Second, 45 * time.Minute}[i]
		if d == nil || *d != want {
			t.Errorf("duration %d = %v, want %v", i, d, want)
		}
	}
	if s.Image != "http://example.org/a;b#c" || s.Flavor != "m1.small" || !slices.Equal(s.Bundles, []string{"a", "b"}) {
		t.Errorf(
			"s = %+v"+
				`; want s.Image == "http://example.org/a;b#c" and s.Flavor == "m1.small" and s.Bundles == `+
				`[]string{"a", "b"}`,
			s,
		)
	}
	if s.Settings["delay"] != "1s" || s.Settings["fail"] != "create#2" || len(s.Settings) != 2 || s.Values["fake.fail"].Line != 22 {
		t.Errorf("settings = %v, values = %v", s.Settings, s.Values)
	}
	if len(s.Hooks) != 1 || s.Hooks["check"] != filepath.Join(s.Dir, "check.d") {
		t.Errorf("hooks = %v", s.Hooks)
	}
	if l, _ := w.load().Source("local"); l.TTL != nil || l.Idle != nil || l.OnFailure != "discard" {
		t.Errorf("what is not set: %+v", l)
	}
}

// Whatever is wrong in a source is told with file, line, key and value, and hurts that source
// alone.
func TestBrokenSources(t *testing.T) {
	for _, c := range []struct{ text, line, want string }{
		{"type = fake\nmaxium = 3", ":2: ", "maxium: unknown key; did you mean maximum?"},
		{"type = fake\nlease_idel = 3", ":2: ", "did you mean lease-idle?"},
		{"type = fake\nMaximum = 3", ":2: ", "Maximum: unknown key; did you mean maximum?"},
		{"type = fake\n\n[fake]\ndelya = 1s", ":4: ", "delya: unknown key of type fake; did you mean delay?"},
		{"type = local\n[local]\nx = 1s", ":3: ", "type local has none of its own"},
		{"type = fake\ndelay = 1s", ":2: ", "delay: belongs into the section [fake]"},
		{"type = fake\n[ssh]\nuser = x", ":3: ", "is in section [ssh]"},
		{"type = fake\nsources = a", ":2: ", "sources: unknown key"},
		{"type = fake\nreserve = -1", ":2: ", "reserve: -1 is negative"},
		{"type = fake\nmaximum = many", ":2: ", `maximum: "many" is not a whole number`},
		{"type = fake\nmaximum = 99999999999999999999", ":2: ", "is not a whole number"},
		{"type = fake\nttl = 3", ":2: ", `ttl: "3" is not a duration`},
		{"type = fake\nttl = -3s", ":2: ", `ttl: "-3s" is negative`},
		{"type = fake\nshare = perhaps", ":2: ", `"perhaps" is neither yes nor no`},
		{"type = fake\nreuse = often", ":2: ", `"often" is none of clean, as-is`},
		{"type = ec2\nreuse = rebuild", ":2: ", "cannot make a computer of type ec2 anew in its place; say no"},
		{"type = local\n\nreuse = rebuild", ":3: ", "of type local anew in its place; say as-is"},
		{"type = fake\non-failure = cry", ":2: ", `"cry" is none of discard, hold`},
		{"type = fake\nauto-confirm-dead = 30m", ":2: ", "auto-confirm-dead: needs on-failure = hold"},
		{"type = fake\nmax-age = 1s\nmax_age = 2s", ":3: ", "given a second time; the first is in line 2"},
		{"type = fake\nnonsense", ":2: ", "is not KEY = VALUE"},
		{"type = fake\n[open", ":2: ", "is not a [section]"},
		{"type = fake\nimage = `open\nreserve = 1", ":2: ", "quote that is not closed"},
		{"reserve = 1", ": ", "type: is required"},
		{"", ": ", "type: is required"},
		{"type = pool", ": ", "sources: is required"},
		{"type = pool\nsources = local, local", ":2: ", "names local twice"},
		{"type = pool\nsources = locla", ":2: ", "there is no source locla; did you mean local?"},
		{"type = pool\nsources = local sandbox", ":2: ", "there is no source local sandbox (commas go between names)"},
		{"type = pool\nsources = s", ":2: ", "contains itself"},
		{"type = ssh", ": ", "hosts: is required"},
		{"type = fake\x00", ": ", "is not text"},
	} {
		w := newWorld(t)
		w.file("~/.config/hostler/sources/good/source.conf", "type = fake")
		file := w.file("~/.config/hostler/sources/s/source.conf", c.text)
		conf := w.load()
		s, _ := conf.Source("s")
		e, ok := errors.AsType[*config.Error](s.Err)
		if !ok || !strings.HasPrefix(e.Error(), file+c.line) || !strings.Contains(e.Error(), c.want) ||
			e.Source != "s" || strings.Contains(e.Error(), "\n") {
			t.Errorf(
				"%q: s.Err = %v"+
					"; want ok and strings.HasPrefix(e.Error(), file+c.line) and e.Error() with c.want and "+
					"e.Source == \"s\" and e.Error() without \"\\n\"",
				c.text, s.Err,
			)
		}
		if g, _ := conf.Source("good"); g.Err != nil {
			t.Errorf("%q hurts another: %v", c.text, g.Err)
		}
	}
}

// Anything in sources counts, and hides what comes later.
func TestOddEntries(t *testing.T) {
	w := newWorld(t)
	w.file("~/.config/hostler/sources/file", "type = fake")
	os.MkdirAll(filepath.Join(w.home, ".config/hostler/sources/empty"), 0o755)
	os.MkdirAll(filepath.Join(w.home, ".config/hostler/sources/dir/source.conf"), 0o755)
	os.MkdirAll(filepath.Join(w.home, ".config/hostler/sources/pipe"), 0o755)
	if err := syscall.Mkfifo(filepath.Join(w.home, ".config/hostler/sources/pipe/source.conf"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.file("~/.config/hostler/sources/large/source.conf", "type = fake\n#"+strings.Repeat("x", 2<<20))
	w.file("~/.config/hostler/sources/a b/source.conf", "type = fake")
	w.file("~/.config/hostler/sources/-x/source.conf", "type = fake")
	w.file("~/.config/hostler/sources/local/source.conf", "reserve = 1")
	w.file("~/etc/sources/file/source.conf", "type = fake")
	c := w.load()
	if got := names(c); !slices.Equal(got, []string{"-x", "a b", "dir", "empty", "file", "large", "local", "pipe"}) {
		t.Errorf("sources = %q", got)
	}
	for _, s := range c.Sources {
		if (s.Err == nil) != (s.Name == "local") {
			t.Errorf(`%s: s.Err = %v; want (s.Err == nil) == (s.Name == "local")`, s.Name, s.Err)
		}
	}
	if l, _ := c.Source("local"); l.Reserve != 1 || l.Type != "local" {
		t.Errorf("local = %+v", l)
	}
}

func TestUnknownSource(t *testing.T) {
	w := newWorld(t)
	w.file(".hostler/sources/debian/source.conf", "type = fake")
	_, err := w.load().Source("debain")
	if e, ok := errors.AsType[*config.Error](err); !ok || e.Nearest != "debian" ||
		!strings.Contains(err.Error(), "debain: no such source") {
		t.Error(err)
	}
}

func TestHostlerConf(t *testing.T) {
	w := newWorld(t)
	w.file("~/.config/hostler/hostler.conf", "[defaults]\nsource = mine\n[store]\npath = /x\n")
	w.file(".hostler/hostler.conf", "[defaults]\nsource = the-tree's\nwait = 1h\n[auth]\nurl = http://evil\n")
	w.file("~/etc/hostler.conf", "[defaults]\nwait = 5m\n[store]\npath = /y\nsync-mode = full\n")
	c := w.load()
	if c.Defaults.Source != "mine" || c.Defaults.Wait == nil || *c.Defaults.Wait != time.Hour {
		t.Errorf("defaults = %+v", c.Defaults)
	}
	store := c.Sections["store"]
	if store["path"].Text != "/x" || store["sync_mode"].Text != "full" || store["sync_mode"].Line != 5 ||
		store["sync_mode"].Key != "sync-mode" {
		t.Errorf("sections = %v", c.Sections)
	}
	// one of the warnings is that there is no source mine
	if len(c.Sections["auth"]) > 0 || len(c.NeedsTrust()) != 1 || len(c.Warnings) != 2 ||
		!strings.Contains(fmt.Sprint(c.Warnings), "hostler.conf:2: [defaults] source: there is no source mine") {
		t.Errorf("the tree names the controller: %v %v", c.Sections, c.Warnings)
	}
	var said []string
	for _, s := range c.Settings {
		said = append(said, fmt.Sprint(s.Name(), "=", s.Text, " ", len(s.Shadowed)))
	}
	if got := strings.Join(said, ", "); got != "defaults.source=mine 1, defaults.wait=1h 1, store.path=/x 1, store.sync_mode=full 0" {
		t.Errorf("settings = %s", got)
	}
	// What a tree says goes before what the system says, though it is heard later, when it is
	// trusted.
	w.file(".hostler/hostler.conf", "[store]\nsync-mode = the-tree's\npath = /z\n")
	w.opt.Trust.Dir = filepath.Join(w.home, "trust")
	for _, d := range w.load().NeedsTrust() {
		if err := w.opt.Trust.Approve(d); err != nil {
			t.Fatal(err)
		}
	}
	store = w.load().Sections["store"]
	if store["path"].Text != "/x" || store["sync_mode"].Text != "the-tree's" {
		t.Errorf("with a tree that is trusted: %v", store)
	}
	for text, want := range map[string]string{
		"[defaults]\nsuorce = x": "hostler.conf:2: suorce: unknown key; did you mean source?",
		"[deafults]\nsource = x": "hostler.conf:2: source: is in the unknown section [deafults]; did you mean [defaults]?",
		"[webhok chat]\nurl = x": "hostler.conf:2: url: is in the unknown section [webhok chat]; did you mean [webhook chat]?",
		"[listener]\nport = x":   "hostler.conf:2: port: is in the unknown section [listener]",
		"source = x":             "hostler.conf:1: source: stands outside of a section; did you mean [defaults]?",
		"[defaults]\nwait = x":   `hostler.conf:2: wait: "x" is not a duration`,
	} {
		w.file("~/.config/hostler/hostler.conf", text)
		c, err := config.Load(w.opt)
		if c == nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: err = %v; want c != nil and an error and err.Error() with want", text, err)
		}
	}
}

func TestDirectoriesAskedFor(t *testing.T) {
	w := newWorld(t)
	w.opt.Dir = filepath.Join(w.dir, "none")
	if _, err := config.Load(w.opt); err == nil || !strings.Contains(err.Error(), "none: is not a directory") {
		t.Error(err)
	}
	w.opt.Dir, w.opt.ConfigDir = w.dir, filepath.Join(w.dir, "none")
	if _, err := config.Load(w.opt); err == nil || !strings.Contains(err.Error(), "none: is not a directory") {
		t.Error(err)
	}
	w.opt.ConfigDir = ""
	w.env["HOSTLER_CONFIG"] = filepath.Join(w.dir, "none")
	if c := w.load(); len(c.Warnings) != 1 {
		t.Errorf("warnings = %v", c.Warnings)
	}
}

func TestDigest(t *testing.T) {
	base := "type = fake\nimage = a\n[fake]\ndelay = 1s\nfail = x\n"
	digest := func(name, text string) string {
		w := newWorld(t)
		w.file("~/.config/hostler/sources/"+name+"/source.conf", text)
		w.file("~/.config/hostler/bundles/x/bundle.conf", "")
		s := w.source(name)
		if s.Err != nil || len(s.Digest) != 16 {
			t.Fatalf("s = %+v; want no error and len(s.Digest) == 16", s)
		}
		return s.Digest
	}
	want := digest("a", base)
	for _, same := range []string{
		"reserve = 3\nmaximum = 4\nttl = 3h\n" + base,
		"[fake]\nfail = x\ndelay = 1s\n[DEFAULT]\nimage = a\ntype = fake\n",
	} {
		if digest("b", same) != want {
			t.Errorf("%q has another digest", same)
		}
	}
	for _, other := range []string{
		strings.Replace(base, "1s", "2s", 1), strings.Replace(base, "= a", "= b", 1), base + "[DEFAULT]\nflavor = x",
		"bundles = x\n" + base,
	} {
		if digest("a", other) == want {
			t.Errorf("%q has the same digest", other)
		}
	}
}

// A section is there without a key too, where it is one that there is; in a tree once that is
// trusted.
func TestEmptySection(t *testing.T) {
	w := newWorld(t)
	w.file("~/.config/hostler/hostler.conf", "[slap]\n# nothing more\n[DEFAULT]\n[store]\nurl = a\n  [results]\n[defaults]\n")
	w.file(".hostler/hostler.conf", "[sync]\n")
	c := w.load()
	if keys, there := c.Sections["slap"]; !there || len(keys) != 0 || len(c.Sections) != 2 ||
		strings.Join(strings.Fields(c.Sections["store"]["url"].Text), " ") != "a [results]" {
		t.Errorf(
			"c.Sections = %v"+
				"; want there and len(keys) == 0 and len(c.Sections) == 2 and "+
				`strings.Join(strings.Fields(c.Sections["store"]["url"].Text), " ") == "a [results]"`,
			c.Sections,
		)
	}
	if all := c.NeedsTrust(); len(all) != 1 || all[0].Risks[0].Why != "has the section [sync]" {
		t.Errorf(`all = %+v; want len(all) == 1 and all[0].Risks[0].Why == "has the section [sync]"`, all)
	}
	w.file("~/.config/hostler/hostler.conf", "[slpa]\n")
	if _, err := config.Load(w.opt); err == nil || !strings.Contains(err.Error(), "unknown section [slpa]") ||
		!strings.Contains(err.Error(), "[slap]") {
		t.Error(err)
	}
}
