package config_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/config"
)

// pieces are what generated trees are made of: keys with values that do harm and such that do none.
var pieces = []string{
	"type = fake", "type = sandbox", "type = pool", "type = local", "type = ssh", "type = ec2", "type = chroot",
	"type = vm", "type = container", "type = kubernetes", "type = openstack",
	"type = ironic", "type = exec", "type = mine", "sources = a", "sources = a, b", "sources = local",
	"sources = shared", "ssh_host = evil", "hosts = evil", "image = host", "image = debian:13",
	"image = dir:/", "image = /", "image = ~", "image = env:TOKEN", "image = file:/etc/shadow", "image = command:id",
	"image = localhost:1/x", "image = oci:x", "reserve = 1", "reserve = 99", "spare = 9",
	"ttl = 1h", "bundles = own", "build = yes", "flavor = x", "images = *", "user-data = yes", "max-memory = 1T",
	"projects = p", "strategy = demand", "cold = 1",
	"[fake]", "[sandbox]", "[local]", "[vm]", "[ssh]", "[schedule]", "run = exec", "run = home", "run = reply",
	"boot = 1s", "boot = env:TOKEN", "mounts = /:rw", "show = ~/.ssh", "ports = 1:1", "nesting = yes",
	"network = nat", "network = host", "memory = 1G", "disk = 1G", "disk = 1024T", "pids = 100", "pids = 99999999",
	"hide = /x", "user = root", "entrypoint = yes", "tree = /", "qemu = ./q", "writable = .git", "aio = yes",
	"x = @daily .. 0 6 * * *: spare 99",
}

// harm are words of which one stands in any line that does harm.
var harm = []string{
	"type = local", "sources = local", "ssh", "ec2", "chroot", "= vm", "container", "kubernetes", "openstack", "ironic",
	"exec", "mine", "shared", "hosts", "env:", "file:", "command:", "99",
	"spare = 9", "bundles", "build", "max-", "projects", "strategy", "cold", "home", "mounts", "show", "ports",
	"nesting", "network = host", "1024T", "tree", "qemu", "writable", "aio",
}

// harmReal are such words for all but what is pretended, which has nothing behind any name.
var harmReal = []string{"dir:", "= /", "= ~", "localhost", "oci:", "flavor", "images", "user-data"}

// FuzzTree generates trees that nobody has approved. A source of theirs that can be used is a
// sandbox, pretended or a pool of these, has no line that does harm, and takes no name of the
// machine's. The test knows nothing of config's table: the words above are its own.
func FuzzTree(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed)
	}
	home, dir := f.TempDir(), f.TempDir()
	opt := config.LoadOptions{
		Dir: dir, Home: home, Env: func(string) string { return "" }, System: filepath.Join(home, "etc"),
		Kinds: table(treeKeys),
	}
	write := func(t testing.TB, name, text string) {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(f, filepath.Join(home, "etc/sources/shared/source.conf"), "type = fake")
	write(f, filepath.Join(home, "etc/bundles/own/bundle.conf"), "")
	f.Fuzz(func(t *testing.T, seed uint64) {
		dice := rand.New(rand.NewPCG(seed, 7))
		texts := map[string]string{}
		for _, name := range []string{"a", "b", "c", "shared", "local", "sandbox"} {
			lines := []string{pieces[dice.IntN(14)]}
			if dice.IntN(2) == 0 {
				lines[0] = pieces[dice.IntN(3)]
			}
			for range dice.IntN(4) {
				lines = append(lines, pieces[14+dice.IntN(len(pieces)-14)])
			}
			texts[name] = strings.Join(lines, "\n") + "\n"
			write(t, filepath.Join(dir, ".hostler/sources", name, "source.conf"), texts[name])
		}
		c, err := config.Load(opt)
		if err != nil {
			t.Fatal(err)
		}
		good := map[string]bool{}
		for _, s := range c.Sources {
			good[s.Name] = s.Tree && s.Err == nil
		}
		for _, s := range c.Sources {
			if !good[s.Name] {
				continue
			}
			if slices.Contains([]string{"shared", "local", "sandbox"}, s.Name) {
				t.Errorf("%s is the machine's: %q", s.Name, texts[s.Name])
			}
			for _, line := range strings.Split(texts[s.Name], "\n") {
				words := harm
				if s.Type != "fake" {
					words = append(slices.Clone(harm), harmReal...)
				}
				for _, word := range words {
					if strings.Contains(line, word) && !strings.HasPrefix(line, "[") && line != "hide = /x" {
						t.Errorf("%s can be used: %q", s.Name, texts[s.Name])
					}
				}
			}
			for _, child := range s.Sources {
				if !good[child] {
					t.Errorf("%s can be used, and leads to %s: %q", s.Name, child, texts)
				}
			}
		}
	})
}
