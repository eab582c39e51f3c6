package oldconfig_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/deploy/oldconfig"
)

// read reads one __init__.py.
func read(t *testing.T, text string) (*oldconfig.Config, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "secrets")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "__init__.py"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c := &oldconfig.Config{}
	if err := c.Read(dir); err != nil {
		t.Fatal(err)
	}
	return c, dir
}

func TestRead(t *testing.T) {
	c, dir := read(t, `#!/usr/bin/env python
"""Site configuration."""
import os
from provision import config as defaults

def init(config):
    '''Called by
    provision.'''
    config.DEFAULT_PROVIDER = 'rackspace'
    config.DEFAULT_USERID = "user" 'name'  # joined
    config.DEFAULT_SECRET_KEY = os.environ['RACKSPACE_KEY']
    config.DEFAULT_LOCATION_ID = 0; config.DEFAULT_SIZE = '256 server'
    config.DESTROYABLE_PREFIXES.extend(['test-',
        "demo-",   # a comment ] in between
    ])
    config.DESTROYABLE_PREFIXES += ('old-',)
    config.DEFAULT_BUNDLES.append('security')
    config.IMAGE_NAMES['squeeze'] = 'Debian 6'
    config.IMAGE_NAMES.update({'lenny': u'Debian 5', 'squeeze': 'Debian 6.0'})
    config.SUBMAP = {'a': r'C:\new', 'b': """two
lines""", 'c': 'tab\there \x41 \u00e9',
    }
    config.NOTHING = None
    config.RATIO = -1.5
    config.MODE = 0755
    config.YES = True
    config.GROUPED = ('one')
    config.PATH = '/a' + \
        '/b'
    config.add_bundle('security', ['firewall.sh', 'users.sh'], files=['/root/.emacs.d/init.el'])
    config.DEFAULT_TARGETDIR = '/opt/deploy'
    config.add_bundle(name='app', scripts=['run.sh'], scriptsdir='other', filesdir='/etc/files')
    config.new_bundle('raw', {'/root/x.sh': 'a/x.sh'}, {'/etc/y': '/abs/y'})
`)
	if len(c.Unread) > 1 || len(c.Unread) == 1 && !strings.Contains(c.Unread[0].Text, "MODE") {
		t.Errorf("not read: %v", c.Unread)
	}
	delete(c.Settings, "MODE") // an octal number of old
	want := map[string]oldconfig.Value{
		"DEFAULT_PROVIDER": "rackspace", "DEFAULT_USERID": "username",
		"DEFAULT_SECRET_KEY": oldconfig.Reference("env:RACKSPACE_KEY"), "DEFAULT_LOCATION_ID": int64(0),
		"DEFAULT_SIZE": "256 server", "DESTROYABLE_PREFIXES": oldconfig.List{"deploy-test-", "test-", "demo-", "old-"},
		"DEFAULT_BUNDLES": oldconfig.List{"security"},
		"IMAGE_NAMES":     oldconfig.Dict{{"squeeze", "Debian 6.0"}, {"lenny", "Debian 5"}},
		"SUBMAP":          oldconfig.Dict{{"a", `C:\new`}, {"b", "two\nlines"}, {"c", "tab\there A é"}},
		"NOTHING":         nil, "RATIO": -1.5, "YES": true, "GROUPED": "one", "PATH": "/a/b", "DEFAULT_TARGETDIR": "/opt/deploy",
	}
	if d := cmp.Diff(want, c.Settings); d != "" {
		t.Error(d)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	bundles := []oldconfig.Bundle{
		{"security", []oldconfig.File{
			{at("scripts/firewall.sh"), "/root/deploy/firewall.sh"}, {at("scripts/users.sh"), "/root/deploy/users.sh"},
		},
			[]oldconfig.File{{at("files/init.el"), "/root/.emacs.d/init.el"}}},
		{"app", []oldconfig.File{{at("other/run.sh"), "/opt/deploy/run.sh"}}, nil},
		{"raw", []oldconfig.File{{at("a/x.sh"), "/root/x.sh"}}, []oldconfig.File{{"/abs/y", "/etc/y"}}},
	}
	if d := cmp.Diff(bundles, c.Bundles); d != "" {
		t.Error(d)
	}
}

// TestNotRead names what is more than literals, and repeats no string of it, as that may be a
// secret.
func TestNotRead(t *testing.T) {
	c, _ := read(t, `
X = 1
def other(config):
    config.A = 1
def init(config):
    if True:
        config.A = 1
    config.B = compute('hunter2')
    config.C = ['a', call()]
    config.D = 'not closed
    config.E = f'{x}'
    config.F.sort()
    print config.G
    config.H = 1 + 1
    config.I = {1: 2}
    config.add_bundle('x', scripts=3)
    config.add_bundle('../x', [])
    config.add_bundle('x', color='red')
    config.J = os.environ.get('A', 'hunter2')
    for x in y: config.K = 1
    config.L = '\N{BULLET}'
    config.OK = 'yes'
class Z:
    def f(self):
        pass
`)
	if d := cmp.Diff(map[string]oldconfig.Value{"OK": "yes"}, c.Settings); d != "" {
		t.Error(d)
	}
	var lines []int
	for _, u := range c.Unread {
		lines = append(lines, u.Line)
		if strings.Contains(u.String(), "hunter2") {
			t.Errorf(`u = %s; want u.String() without "hunter2"`, u)
		}
	}
	if want := []int{2, 3, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 23}; !slices.Equal(lines, want) {
		t.Errorf("not read are lines %v, want %v\n%v", lines, want, c.Unread)
	}
	if len(c.Bundles) > 0 {
		t.Error(c.Bundles)
	}
}

func TestReadLayers(t *testing.T) {
	c, first := read(t, "def init(c): c.DEFAULT_NAME_PREFIX = 'a-'; c.PUBKEYS = ['ssh-rsa A']\n")
	second := filepath.Join(t.TempDir(), "b")
	if err := os.MkdirAll(filepath.Join(second, "pubkeys"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"pubkeys/me": "ssh-rsa B",
		"__init__.py": "def init(config):\n\tconfig.DEFAULT_NAME_PREFIX = 'b-'\r\n\tconfig.add_bundle('x')\n" +
			"\tconfig.add_bundle('x', ['a'])",
	} {
		if err := os.WriteFile(filepath.Join(second, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Read(second); err != nil {
		t.Fatal(err)
	}
	if c.Settings["DEFAULT_NAME_PREFIX"] != "b-" || len(c.Keys) != 1 || len(c.Bundles) != 1 ||
		len(c.Bundles[0].Scripts) != 1 || len(c.Unread) != 1 {
		t.Errorf(
			"c = %+v"+
				`; want c.Settings["DEFAULT_NAME_PREFIX"] == "b-" and len(c.Keys) == 1 and len(c.Bundles) `+
				"== 1 and len(c.Bundles[0].Scripts) == 1 and len(c.Unread) == 1",
			c,
		)
	}
	if err := c.Read(filepath.Join(first, "none")); err == nil {
		t.Error("a directory that is not there")
	}
	if err := c.Read(filepath.Join(first, "__init__.py")); err == nil {
		t.Error("a file for a directory")
	}
}

func FuzzRead(f *testing.F) {
	f.Add("def init(config):\n config.A = ['x', {'y': (1,)}]\n")
	f.Add("def init(c): c.add_bundle('a', ['b'])")
	f.Add("def init(c):\n c.A = '''")
	f.Add("def init(c):\n c.A = '\\")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(filepath.Join(dir, "__init__.py"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := &oldconfig.Config{}
		_ = c.Read(dir)
	})
}
