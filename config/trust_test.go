package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/config"
)

// hook writes an executable.
func (w *world) hook(name, text string) string {
	path := w.file(name, "#!/bin/sh\n"+text+"\n")
	os.Chmod(path, 0o755)
	return path
}

// What a tree may do unasked, and what not.
func TestWhatNeedsTrust(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"local", "type = local", ""},
		{"ssh", "type = ssh\nssh_host = h\nreserve = 1", ""},
		{"ssh with hosts", "type = ssh\nhosts = a, b\n[ssh]\nuser = me", ""},
		{"pool", "type = pool\nsources = local", ""},
		{"fake", "type = fake\n[fake]\ndelay = 1s", ""},
		{"chroot elsewhere", "type = chroot\n[chroot]\nbase = /srv/debian", "base decides"},
		{"chroot of the tree", "type = chroot\n[chroot]\nbase = root", "base decides"},
		{"chroot of the tree by way of the kernel", "type = chroot\n[chroot]\nbase = /proc/self/cwd/root", "base decides"},
		{"vm's program", "type = vm\n[vm]\nqemu = ./q", "qemu decides"},
		{"vm's seed", "type = vm\n[vm]\nseed = /home/me/.ssh/id", "seed decides"},
		{"vm's disk", "type = vm\nimage = disk.qcow2", "shows files of this machine"},
		{"vm's size", "type = vm\n[vm]\nmemory = 1G", ""},
		{"container's mounts", "type = container\n[container]\nmounts = /:/host:rw", "mounts decides"},
		{"container's network", "type = container\n[container]\nnetwork = host", "network decides"},
		{"container's engine", "type = container\n[container]\nsocket = /tmp/mine", "socket decides"},
		{"container", "type = container\nimage = debian\n[container]\nmemory = 1G", ""},
		{"a type that nobody has judged", "type = odd\n[odd]\nsize = 1", "size decides"},
		{"exec", "type = exec", "runs a program"},
		{"pods of the current cluster", "type = kubernetes\nimage = x", "makes pods"},
		{"unknown type", "type = mystery", "runs a program"},
		{"ssh's config", "type = ssh\nssh_host = h\n[ssh]\nconfig = ssh_config", "config decides"},
		{"ssh's option", "type = ssh\nssh_host = -oProxyCommand=x", "looks like an option"},
		{"command", "type = fake\n[fake]\ndelay = command:id", "delay runs a program"},
		{"file", "type = fake\nimage = file:/etc/passwd", "reads a secret"},
		{"env", "type = fake\n[fake]\ndelay = env:TOKEN", "reads a secret"},
		{"keyring", "type = fake\n[fake]\ndelay = keyring:x", "reads a secret"},
	} {
		for _, root := range []string{".hostler", ".crcache", "~/.config/hostler", "~/etc"} {
			w := newWorld(t)
			file := w.file(root+"/sources/s/source.conf", c.text)
			conf := w.load()
			s, _ := conf.Source("s")
			if c.want == "" || strings.HasPrefix(root, "~") {
				if s.Err != nil || len(conf.NeedsTrust()) > 0 {
					t.Errorf("%s in %s: %v %v", c.name, root, s.Err, conf.NeedsTrust())
				}
				continue
			}
			if !errors.Is(s.Err, config.ErrUntrusted) || !strings.Contains(s.Err.Error(), c.want) || !strings.HasPrefix(s.Err.Error(), file+":") {
				t.Errorf("%s in %s: %v", c.name, root, s.Err)
			}
			if d := conf.NeedsTrust(); len(d) != 1 || len(d[0].Risks) != 1 || d[0].Risks[0].Source != "s" || d[0].Trusted || d[0].Root != filepath.Join(w.dir, root) {
				t.Errorf("%s in %s: %+v", c.name, root, d)
			}
		}
	}
}

func TestHooksNeedTrust(t *testing.T) {
	w := newWorld(t)
	w.opt.Trust.Dir = filepath.Join(w.home, "state/trust")
	w.file(".crcache/sources/plain/source.conf", "type: ssh\nssh_host: h\n")
	w.file(".crcache/sources/s/source.conf", "type: ssh\nssh_host: h\n")
	readme := w.file(".crcache/sources/s/provision.d/README.md", "nothing runs")
	if c := w.load(); len(c.NeedsTrust()) != 0 {
		t.Errorf("a text needs trust: %+v", c.NeedsTrust())
	}
	helper := w.file("tools/helper", "#!/bin/sh\n")
	os.Chmod(helper, 0o755)
	run := w.hook(".crcache/sources/s/provision.d/10-run", "id")
	os.Symlink("../../../../tools/helper", filepath.Join(filepath.Dir(run), "20-link"))

	check := func(when string, trusted bool) config.Danger {
		t.Helper()
		c := w.load()
		d := c.NeedsTrust()
		if len(d) != 1 || d[0].Trusted != trusted {
			t.Fatalf("%s: %+v", when, d)
		}
		s, _ := c.Source("s")
		if errors.Is(s.Err, config.ErrUntrusted) == trusted {
			t.Errorf("%s: %v", when, s.Err)
		}
		if p, _ := c.Source("plain"); p.Err != nil {
			t.Errorf("%s: the plain source: %v", when, p.Err)
		}
		return d[0]
	}
	d := check("at first", false)
	if len(d.Risks) != 2 || d.Risks[0].File != run || !strings.Contains(d.Risks[0].Why, "at provision") {
		t.Errorf("risks = %+v", d.Risks)
	}
	approve := func() {
		t.Helper()
		d := check("before approval", false)
		if err := w.opt.Trust.Approve(d.Root, d.Digest); err != nil {
			t.Fatal(err)
		}
		check("approved", true)
	}
	approve()
	for what, change := range map[string]func(){
		"a hook":            func() { w.hook(".crcache/sources/s/provision.d/10-run", "id -u") },
		"a link's target":   func() { os.WriteFile(helper, []byte("#!/bin/sh\nrm -rf /\n"), 0o755) },
		"a mode":            func() { os.Chmod(readme, 0o755) },
		"a new hook":        func() { w.hook(".crcache/sources/s/discard.d/x", "true") },
		"the configuration": func() { w.file(".crcache/sources/s/source.conf", "type: ssh\nssh_host: other\n") },
		"a hook is gone":    func() { os.Remove(run) },
	} {
		change()
		check(what, false)
		approve()
	}
	w.file(".crcache/sources/plain/source.conf", "type: ssh\nssh_host: changed\n")
	check("a source without dangers changes", true)
	// the user's own source of that name hides the tree's, and is not asked about
	w.file("~/.config/crcache/sources/s/source.conf", "type: local\n")
	c := w.load()
	if s, _ := c.Source("s"); s.Err != nil || s.Type != "local" {
		t.Errorf("%+v", s)
	}
	if err := w.opt.Trust.Revoke(d.Root); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(w.home, ".config/crcache/sources/s/source.conf"))
	os.Remove(filepath.Join(w.home, ".config/crcache/sources/s"))
	check("revoked", false)
}

func TestSettingsBindTheirFiles(t *testing.T) {
	w := newWorld(t)
	w.file(".hostler/sources/s/source.conf", "type = fake\nimage = command:./tools/token 'x'\n")
	w.file("tools/token", "one")
	before := w.load().NeedsTrust()[0].Digest
	w.file("tools/token", "two")
	if w.load().NeedsTrust()[0].Digest == before {
		t.Error("the program that a command names may change unseen")
	}
}

// TestKubeconfigBindsItsFiles has what a tree's kubeconfig runs and reads, as seen from where it is, not change unseen.
func TestKubeconfigBindsItsFiles(t *testing.T) {
	for _, user := range []string{
		"exec:\n      command: ./plugin.sh", `{exec: {"command":"./plugin.sh"}}`, "exec: {command: sh, args: [./plugin.sh]}", "tokenFile: 'plugin.sh'",
	} {
		w := newWorld(t)
		w.file(".hostler/sources/s/source.conf", "type = kubernetes\nimage = x\n[kubernetes]\nkubeconfig = "+w.dir+"/deploy/kubeconfig\n")
		w.file("deploy/kubeconfig", "apiVersion: v1\nusers:\n- name: me\n  user:\n    "+user+"\n")
		w.file("deploy/plugin.sh", "one")
		before := w.load().NeedsTrust()[0].Digest
		w.file("deploy/plugin.sh", "two")
		if w.load().NeedsTrust()[0].Digest == before {
			t.Errorf("with %s the file may change unseen", user)
		}
	}
}

func TestBundlesOfATree(t *testing.T) {
	w := newWorld(t)
	w.opt.Trust.Dir = filepath.Join(w.home, "trust")
	w.file("~/.config/hostler/sources/mine/source.conf", "type = fake\nbundles = b\n")
	script := w.file(".hostler/bundles/b/scripts/x", "id")
	w.file(".hostler/bundles/b/bundle.conf", "scripts = x\n")
	c := w.load()
	if s, _ := c.Source("mine"); !errors.Is(s.Err, config.ErrUntrusted) {
		t.Errorf("%v", s.Err)
	}
	d := c.NeedsTrust()[0]
	w.opt.Trust.Approve(d.Root, d.Digest)
	if s := w.source("mine"); s.Err != nil {
		t.Error(s.Err)
	}
	os.WriteFile(script, []byte("id -u"), 0o644)
	if s := w.source("mine"); !errors.Is(s.Err, config.ErrUntrusted) {
		t.Errorf("%v", s.Err)
	}
	w.file("~/.config/hostler/bundles/b/bundle.conf", "")
	if s := w.source("mine"); s.Err != nil {
		t.Errorf("the user's own bundle: %v", s.Err)
	}
}

// Who says local, or nothing, means this machine or what he configured himself. A tree cannot lead that elsewhere unasked.
func TestNamesStay(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"local", "type = ssh\nssh_host = theirs", "goes where it says"},
		{"local", "type = pool\nsources = theirs", "goes where it says"},
		{"sandbox", "type = ssh\nssh_host = theirs", "goes where it says"},
		{"sandbox", "type = local", "goes where it says"},
		{"local", "type = local\nconcurrency = 2", ""},
		{"other", "type = ssh\nssh_host = theirs", ""},
	} {
		for _, root := range []string{".hostler", ".crcache"} {
			for _, compat := range []bool{false, root == ".crcache"} {
				w := newWorld(t)
				w.opt.Compat = compat
				w.opt.Trust.Dir = filepath.Join(w.home, "trust")
				w.file(root+"/sources/theirs/source.conf", "type = ssh\nssh_host = theirs")
				w.file(root+"/sources/"+c.name+"/source.conf", c.text)
				conf := w.load()
				s, _ := conf.Source(c.name)
				if c.want == "" {
					if s.Err != nil || len(conf.NeedsTrust()) > 0 {
						t.Errorf("%s in %s: %s: %v", c.name, root, c.text, s.Err)
					}
					continue
				}
				if d := conf.NeedsTrust(); !errors.Is(s.Err, config.ErrUntrusted) || !strings.Contains(s.Err.Error(), c.want) || len(d) != 1 {
					t.Errorf("%s in %s: %s: %v", c.name, root, c.text, s.Err)
					continue
				}
				d := conf.NeedsTrust()[0]
				w.opt.Trust.Approve(d.Root, d.Digest)
				if s := w.source(c.name); s.Err != nil {
					t.Errorf("%s in %s, approved: %v", c.name, root, s.Err)
				}
				w.file(root+"/sources/theirs/source.conf", "type = ssh\nssh_host = another")
				if s := w.source(c.name); !errors.Is(s.Err, config.ErrUntrusted) {
					t.Errorf("%s in %s: what it leads to has changed: %v", c.name, root, s.Err)
				}
				w.file("~/.config/crcache/sources/"+c.name+"/source.conf", "type = fake")
				if s := w.source(c.name); compat && s.Err != nil {
					t.Errorf("the user's own %s: %v", c.name, s.Err)
				}
			}
		}
	}
}

func TestDefaultSourceOfATree(t *testing.T) {
	w := newWorld(t)
	w.opt.Trust.Dir = filepath.Join(w.home, "trust")
	w.file(".hostler/sources/web/source.conf", "type = ssh\nssh_host = theirs")
	file := w.file(".hostler/hostler.conf", "[defaults]\nwait = 1m\nsource = web\n")
	c := w.load()
	if d := c.Defaults; d.Source != "" || !errors.Is(d.Err, config.ErrUntrusted) || !strings.HasPrefix(d.Err.Error(), file+":3") || d.Wait == nil {
		t.Errorf("%+v", d)
	}
	if s := w.source("web"); s.Err != nil {
		t.Errorf("under its own name: %v", s.Err)
	}
	d := c.NeedsTrust()
	if len(d) != 1 || len(d[0].Risks) != 1 {
		t.Fatalf("%+v", d)
	}
	w.opt.Trust.Approve(d[0].Root, d[0].Digest)
	if d := w.load().Defaults; d.Source != "web" || d.Err != nil {
		t.Errorf("approved: %+v", d)
	}
	w.file(".hostler/sources/web/source.conf", "type = ssh\nssh_host = another")
	if d := w.load().Defaults; d.Source != "" || !errors.Is(d.Err, config.ErrUntrusted) {
		t.Errorf("what it leads to has changed: %+v", d)
	}
	w.file("~/.config/hostler/hostler.conf", "[defaults]\nsource = mine\n")
	if d := w.load().Defaults; d.Source != "mine" || d.Err != nil {
		t.Errorf("the user's own: %+v", d)
	}
}

// Another user's directory, such as a .hostler in /tmp, is not believed at all.
func TestForeignTree(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("config: only root can make another user's directory")
	}
	w := newWorld(t)
	w.file(".hostler/sources/s/source.conf", "type = fake")
	os.Chown(filepath.Join(w.dir, ".hostler"), 12345, 12345)
	if s := w.source("s"); s.Err != nil {
		t.Errorf("nothing is foreign to root: %v", s.Err)
	}
}

func TestTreesStayInside(t *testing.T) {
	w := newWorld(t)
	outside := w.file("~/elsewhere/source.conf", "type = fake")
	for _, root := range []string{".hostler", "~/.config/hostler"} {
		dir := filepath.Dir(w.file(root+"/sources/x/README", ""))
		os.Symlink(outside, filepath.Join(dir, "source.conf"))
	}
	if s := w.source("x"); s.Err != nil || s.Tree {
		t.Errorf("the user's own link: %v", s.Err)
	}
	os.RemoveAll(filepath.Join(w.home, ".config/hostler"))
	if s := w.source("x"); s.Err == nil || s.Type != "" {
		t.Errorf("a tree reads %s: %+v", outside, s)
	}
}

func TestTrustStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a/trust")
	s := config.TrustStore{Dir: dir}
	if ok, err := s.Trusted("/x", "1"); ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	if l, err := s.List(); len(l) > 0 || err != nil {
		t.Errorf("%v %v", l, err)
	}
	for _, root := range []string{"/x", "/b/"} {
		if err := s.Approve(root, "1"); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		root, digest string
		want         bool
	}{{"/x", "1", true}, {"/x/", "1", true}, {"/x", "2", false}, {"/y", "1", false}, {"/b", "1", true}, {"/x", "", false}} {
		if ok, err := s.Trusted(c.root, c.digest); ok != c.want || err != nil {
			t.Errorf("%+v: %v %v", c, ok, err)
		}
	}
	files, _ := filepath.Glob(dir + "/*")
	for _, f := range append(files, dir) {
		if info, _ := os.Stat(f); info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %v", f, info.Mode())
		}
	}
	if l, err := s.List(); len(l) != 2 || l[0].Root != "/b" || l[1].Time.IsZero() || err != nil {
		t.Errorf("%+v %v", l, err)
	}
	os.WriteFile(files[0], []byte("{"), 0o600)
	os.WriteFile(files[1], []byte("{"), 0o600)
	if ok, err := s.Trusted("/x", "1"); ok || err == nil {
		t.Errorf("a torn file: %v %v", ok, err)
	}
	for range 2 { // twice is as good as once
		if err := s.Revoke("/x"); err != nil {
			t.Error(err)
		}
	}
	if (config.TrustStore{}).Approve("/x", "1") == nil {
		t.Error("an approval went nowhere")
	}
}
