package config_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// treeKeys are those of the types that a tree may have, and of some that it may not.
var treeKeys = map[string][]string{"local": {}, "chroot": {"base"}, "ssh": {"ssh_host", "hosts", "config-file"},
	"fake": {"*"}, "sandbox": {"*"}, "exec": {"*"},
	"vm": {"*"}, "container": {"*"}, "odd": {"size"}, "kubernetes": {"*"}, "openstack": {"*"}, "ironic": {"*"}, "ec2": {"*"}}

// What a tree may do unasked, and what not.
func TestWhatNeedsTrust(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"local", "type = local", "runs commands on this machine"},
		{"ssh", "type = ssh\nssh_host = h\nreserve = 1", "to another host"},
		{"ssh's option", "type = ssh\nssh_host = -oProxyCommand=x", "to another host"},
		{"pool over local", "type = pool\nsources = local", "takes computers of local, which is not the tree's"},
		{"pool over the user's", "type = pool\nsources = mine", "takes computers of mine, which is not the tree's"},
		{"pool over what waits", "type = pool\nsources = far", "takes computers of far, which waits itself"},
		{"pool over what does not", "type = pool\nsources = plain", ""},
		{"fake", "type = fake\nimage = x\nttl = 1h\n[fake]\nboot = 1s", ""},
		{"fake that runs", "type = fake\n[fake]\nrun = exec", "is more than `reply`"},
		{"fake at home", "type = fake\n[fake]\nrun = home", "is more than `reply`"},
		{"few ready", "type = fake\nreserve = 4", ""},
		{"many ready", "type = fake\nreserve = 5000", "is more than up to 4"},
		{"the user's bundles", "type = fake\nbundles = own", "puts files"},
		{"a strategy", "type = fake\nstrategy = demand", "ahead of need"},
		{"chroot", "type = chroot\n[chroot]\nbase = root", "as root"},
		{"vm", "type = vm\n[vm]\nmemory = 1G", "run qemu"},
		{"container", "type = container\nimage = debian", "container engine act for you"},
		{"servers", "type = openstack", "with your credentials"},
		{"nodes", "type = ironic", "with your credentials"},
		{"Amazon's", "type = ec2", "with your credentials"},
		{"pods of the current cluster", "type = kubernetes\nimage = x", "makes pods"},
		{"sandbox", "type = sandbox", ""},
		{"sandbox with limits", "type = sandbox\n[sandbox]\nmemory = 1G\ncores = 1\npids = 100\nnetwork = none\nhide = /srv", ""},
		{"sandbox of an image", "type = sandbox\nimage = ghcr.io/team/app:1.2", ""},
		{"sandbox of a directory", "type = sandbox\nimage = dir:/", "is more than"},
		{"sandbox of files", "type = sandbox\n[sandbox]\nimage = oci:x", "is more than"},
		{"sandbox of this machine's registry", "type = sandbox\nimage = localhost/x", "is more than"},
		{"sandbox of metadata", "type = sandbox\nimage = 169.254.169.254/x", "is more than"},
		{"sandbox of a port", "type = sandbox\nimage = example.org:5000/x", "is more than"},
		{"sandbox with much disk", "type = sandbox\n[sandbox]\ndisk = 1024T", "is more than up to 16G"},
		{"sandbox that goes to the internet", "type = sandbox\n[sandbox]\negress = internet, pypi.org:443, *.pythonhosted.org", ""},
		{"sandbox that goes to metadata", "type = sandbox\n[sandbox]\negress = 169.254.169.254:80", "is more than"},
		{"sandbox that goes to private networks", "type = sandbox\n[sandbox]\negress = internet, private", "is more than"},
		{"sandbox that goes to names of an inner network", "type = sandbox\n[sandbox]\negress = wiki.corp", "is more than"},
		{"sandbox with mounts", "type = sandbox\n[sandbox]\nmounts = ~:rw", "shows directories of this machine"},
		{"sandbox with a tree", "type = sandbox\n[sandbox]\ntree = /home", "shows directories of this machine"},
		{"sandbox that shows", "type = sandbox\n[sandbox]\nshow = ~/.ssh", "shows what sandboxes hide"},
		{"sandbox with ports", "type = sandbox\n[sandbox]\nports = 80:80", "opens ports"},
		{"sandbox with nesting", "type = sandbox\n[sandbox]\nnesting = yes", "takes away a part of the sandbox's wall"},
		{"sandbox with a network of tomorrow", "type = sandbox\n[sandbox]\nnetwork = host", "is more than"},
		{"sandbox with a key of tomorrow", "type = sandbox\n[sandbox]\ntomorrow = x", "nobody has judged"},
		{"a type that nobody has judged", "type = odd\n[odd]\nsize = 1", "runs a program"},
		{"exec", "type = exec", "runs a program"},
		{"unknown type", "type = mystery", "runs a program"},
		{"command", "type = fake\n[fake]\nboot = command:id", "boot runs a program"},
		{"file", "type = fake\nimage = file:/etc/passwd", "reads a secret"},
		{"env", "type = fake\n[fake]\nboot = env:TOKEN", "reads a secret"},
		{"keyring", "type = fake\n[fake]\nboot = keyring:x", "reads a secret"},
		{"one of several", "type = fake\n[fake]\nimages = a, env:TOKEN", "reads a secret"},
	} {
		for _, root := range []string{".hostler", ".crcache", "~/etc"} {
			w := newWorld(t)
			w.opt.Kinds = table(treeKeys)
			w.file(root+"/sources/plain/source.conf", "type = fake")
			w.file(root+"/sources/far/source.conf", "type = ssh\nssh_host = far")
			w.file("~/.config/crcache/sources/mine/source.conf", "type = fake")
			w.file("~/etc/bundles/own/bundle.conf", "")
			file := w.file(root+"/sources/s/source.conf", c.text)
			conf := w.load()
			s, _ := conf.Source("s")
			if c.want == "" || strings.HasPrefix(root, "~") {
				if errors.Is(s.Err, config.ErrUntrusted) || c.want == "" && s.Err != nil {
					t.Errorf("%s in %s: %v", c.name, root, s.Err)
				}
				continue
			}
			if s.Err != nil && !errors.Is(s.Err, config.ErrUntrusted) {
				t.Errorf("%s in %s is broken, so this tests nothing: %v", c.name, root, s.Err)
				continue
			}
			if s.Err == nil || !strings.Contains(s.Err.Error(), c.want) || !strings.HasPrefix(s.Err.Error(), file+":") {
				t.Errorf("%s in %s: %v", c.name, root, s.Err)
			}
			d := conf.NeedsTrust()
			if len(d) != 1 || len(d[0].Items) != 2 || d[0].Items[1].Name != "source s" || d[0].Trusted ||
				d[0].Root != filepath.Join(w.dir, root) {
				t.Errorf("%s in %s: %+v", c.name, root, d)
			}
		}
	}
}

func TestHooksNeedTrust(t *testing.T) {
	w := newWorld(t)
	w.opt.Trust.Dir = filepath.Join(w.home, "state/trust")
	w.file(".crcache/sources/plain/source.conf", "type: model\nimage: h\n")
	w.file(".crcache/sources/s/source.conf", "type: model\nimage: h\n")
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
			t.Fatalf("%s: d = %+v; want len(d) == 1 and d[0].Trusted == trusted", when, d)
		}
		s, _ := c.Source("s")
		if errors.Is(s.Err, config.ErrUntrusted) == trusted {
			t.Errorf("%s: s.Err = %v; want errors.Is(s.Err, config.ErrUntrusted) != trusted", when, s.Err)
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
		if err := w.opt.Trust.Approve(d); err != nil {
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
		"the configuration": func() { w.file(".crcache/sources/s/source.conf", "type: model\nimage: other\n") },
		"a hook is gone":    func() { os.Remove(run) },
	} {
		change()
		check(what, false)
		approve()
	}
	w.file(".crcache/sources/plain/source.conf", "type: model\nimage: changed\n")
	check("a source without dangers changes", true)
	// the user's own source of that name hides the tree's, and is not asked about
	w.file("~/.config/crcache/sources/s/source.conf", "type: local\n")
	c := w.load()
	if s, _ := c.Source("s"); s.Err != nil || s.Type != "local" {
		t.Errorf(`s = %+v; want no error and s.Type == "local"`, s)
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

// TestKubeconfigBindsItsFiles has what a tree's kubeconfig runs and reads, as seen from where it
// is, not change unseen.
func TestKubeconfigBindsItsFiles(t *testing.T) {
	for _, user := range []string{
		"exec:\n      command: ./plugin.sh", `{exec: {"command":"./plugin.sh"}}`,
		"exec: {command: sh, args: [./plugin.sh]}", "tokenFile: 'plugin.sh'",
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
		t.Errorf("s.Err = %v; want error config.ErrUntrusted", s.Err)
	}
	d := c.NeedsTrust()[0]
	w.opt.Trust.Approve(d)
	if s := w.source("mine"); s.Err != nil {
		t.Error(s.Err)
	}
	os.WriteFile(script, []byte("id -u"), 0o644)
	if s := w.source("mine"); !errors.Is(s.Err, config.ErrUntrusted) {
		t.Errorf("s.Err = %v; want error config.ErrUntrusted", s.Err)
	}
	w.file("~/.config/hostler/bundles/b/bundle.conf", "")
	if s := w.source("mine"); s.Err != nil {
		t.Errorf("the user's own bundle: %v", s.Err)
	}
}

// Names that mean something without the tree do not lead elsewhere unasked: neither those that are
// built in, nor what stands in other roots, nor what was applied.
func TestNamesStay(t *testing.T) {
	for _, c := range []struct{ name, text, want, effect string }{
		{
			"local", "type = ssh\nssh_host = theirs", "takes the place of the built-in source local",
			"would lead to theirs by ssh instead of this machine itself (built in)",
		},
		{
			"local", "type = pool\nsources = theirs", "takes the place of the built-in source local",
			"would lead to the sources theirs instead of",
		},
		{
			"local", "type = local\nconcurrency = 2", "takes the place of the built-in source local",
			"would lead to this machine itself instead of this machine itself",
		},
		{
			"sandbox", "type = ssh\nssh_host = theirs", "takes the place of the built-in source sandbox",
			"would lead to theirs by ssh instead of a sandbox of this machine",
		},
		{
			"sandbox", "type = fake", "takes the place of the built-in source sandbox",
			"would lead to nothing real (fake) instead of a sandbox of this machine",
		},
		{
			"shared", "type = ssh\nssh_host = theirs", "takes the place of this machine's own shared",
			"would lead to theirs by ssh instead of build1 by ssh (/",
		},
		{
			"shared", "type = fake", "takes the place of this machine's own shared",
			"would lead to nothing real (fake) instead of build1 by ssh",
		},
		{"old", "type = fake", "takes the place of this machine's own old", "instead of old1 by ssh"},
		{"applied", "type = fake", "takes the place of what was applied as applied", "instead of applied1 by ssh"},
		{"child", "type = fake", "takes the place of child of your own pool mine", "leads to nothing real"},
		{"usual", "type = fake", "takes the place of what your own [defaults] source names", "leads to nothing real"},
		{"other", "type = ssh\nssh_host = theirs", "sends commands", "leads to theirs by ssh"},
		{"other", "type = fake", "", ""},
	} {
		w := newWorld(t)
		w.opt.Kinds = table(treeKeys)
		w.opt.Trust.Dir = filepath.Join(w.home, "trust")
		w.file("~/applied/sources/applied/source.conf", "type = ssh\nssh_host = applied1")
		w.opt.Applied = func(*config.Config) string { return filepath.Join(w.home, "applied") }
		w.file("~/etc/sources/shared/source.conf", "type = ssh\nssh_host = build1")
		w.file("~/.config/crcache/sources/old/source.conf", "type = ssh\nssh_host = old1")
		w.file("~/.config/hostler/sources/mine/source.conf", "type = pool\nsources = child\n")
		w.file("~/.config/hostler/hostler.conf", "[defaults]\nsource = usual\n")
		w.file(".hostler/sources/theirs/source.conf", "type = ssh\nssh_host = theirs")
		w.file(".hostler/sources/"+c.name+"/source.conf", c.text)
		conf := w.load()
		s, _ := conf.Source(c.name)
		if c.want == "" {
			if s.Err != nil {
				t.Errorf("%s: c.text = %s: s.Err = %v; want no error", c.name, c.text, s.Err)
			}
			continue
		}
		if !errors.Is(s.Err, config.ErrUntrusted) || !strings.Contains(s.Err.Error(), c.want) {
			t.Errorf(
				"%s: c.text = %s: s.Err = %v"+
					"; want error config.ErrUntrusted and s.Err.Error() with c.want",
				c.name, c.text, s.Err,
			)
			continue
		}
		for _, it := range conf.NeedsTrust()[0].Items {
			if it.Source == c.name && !strings.Contains(it.Effect, c.effect) {
				t.Errorf(
					"%s: c.text = %s: it.Effect = %s"+
						"; want it.Source != c.name or it.Effect with c.effect",
					c.name, c.text, it.Effect,
				)
			}
		}
		w.approve()
		if s := w.source(c.name); s.Err != nil || !s.Tree {
			t.Errorf("%s, approved: %v", c.name, s.Err)
		}
	}
}

// What was approved as a name of the tree's own is asked about again when the machine has that name
// too.
func TestNameThatComes(t *testing.T) {
	w := newWorld(t)
	w.file(".hostler/sources/x/source.conf", "type = ssh\nssh_host = theirs")
	w.approve()
	if s := w.source("x"); s.Err != nil {
		t.Fatal(s.Err)
	}
	w.file("~/etc/sources/x/source.conf", "type = ssh\nssh_host = ours")
	if s := w.source("x"); !errors.Is(s.Err, config.ErrUntrusted) {
		t.Errorf("s.Err = %v; want error config.ErrUntrusted", s.Err)
	}
}

func TestDefaultSourceOfATree(t *testing.T) {
	w := newWorld(t)
	w.opt.Trust.Dir = filepath.Join(w.home, "trust")
	w.file(".hostler/sources/web/source.conf", "type = fake\nimage = theirs\nttl = 1h")
	file := w.file(".hostler/hostler.conf", "[defaults]\nwait = 1m\nsource = web\n")
	w.file("~/etc/hostler.conf", "[defaults]\nsource = build\n")
	c := w.load()
	if d := c.Defaults; d.Source != "" || !errors.Is(d.Err, config.ErrUntrusted) ||
		!strings.HasPrefix(d.Err.Error(), file+":3") || d.Wait == nil {
		t.Errorf(
			"d = %+v"+
				`; want d.Source == "" and error config.ErrUntrusted and strings.HasPrefix(d.Err.Error(), `+
				`file+":3") and d.Wait != nil`,
			d,
		)
	}
	if s := w.source("web"); s.Err != nil {
		t.Errorf("under its own name: %v", s.Err)
	}
	d := c.NeedsTrust()
	if len(d) != 1 || len(d[0].Items) != 1 || !strings.HasPrefix(d[0].Items[0].Effect, "would be web instead of build (/") {
		t.Fatalf(
			"d = %+v"+
				"; want len(d) == 1 and len(d[0].Items) == 1 and strings.HasPrefix(d[0].Items[0].Effect, "+
				`"would be web instead of build (/")`,
			d,
		)
	}
	w.approve()
	if d := w.load().Defaults; d.Source != "web" || d.Err != nil {
		t.Errorf("approved: %+v", d)
	}
	w.file(".hostler/sources/web/source.conf", "# a comment\ntype = fake\nttl = 2h\nimage = theirs\n")
	if d := w.load().Defaults; d.Source != "web" || d.Err != nil {
		t.Errorf("what it leads to is the same: %+v", d)
	}
	w.file(".hostler/sources/web/source.conf", "type = fake\nimage = another")
	if d := w.load().Defaults; d.Source != "" || !errors.Is(d.Err, config.ErrUntrusted) {
		t.Errorf("what it leads to has changed: %+v", d)
	}
	w.file("~/.config/hostler/hostler.conf", "[defaults]\nsource = mine\n")
	if d := w.load().Defaults; d.Source != "mine" || d.Err != nil {
		t.Errorf("the user's own: %+v", d)
	}
}

// Each key of a tree's hostler.conf waits, but for [defaults] wait.
func TestSettingsOfATree(t *testing.T) {
	w := newWorld(t)
	w.file("~/etc/hostler.conf", "[auth]\nadmins = root\n")
	w.file(
		".hostler/hostler.conf",
		"[defaults]\nwait = 1m\n[auth]\nadmins = eve\n[store]\nurl = postgres://evil\n[run]\nsync = yes\n[sync]\nexclude = x\n[env]\nallow = *\n[webhook w]\nurl = https://evil\nsecret = x\n[slap]\n",
	)
	c := w.load()
	if c.Sections["auth"]["admins"].Text != "root" || len(c.Sections) != 1 || c.Defaults.Wait == nil {
		t.Errorf(
			"c.Sections = %+v"+
				`; want c.Sections["auth"]["admins"].Text == "root" and len(c.Sections) == 1 and `+
				"c.Defaults.Wait != nil",
			c.Sections,
		)
	}
	var names []string
	for _, it := range c.NeedsTrust()[0].Items {
		names = append(names, it.Name)
		if it.Name == "[auth] admins" && !strings.Contains(it.Effect, "would be eve instead of root (/") {
			t.Error(it.Effect)
		}
	}
	if got := strings.Join(names, ", "); got != "[auth] admins, [store] url, [run] sync, [sync] exclude, [env] allow, [webhook w] url, [webhook w] secret, [slap]" {
		t.Error(got)
	}
	w.approve()
	if c := w.load(); c.Sections["auth"]["admins"].Text != "eve" {
		t.Errorf(`c.Sections = %+v; want c.Sections["auth"]["admins"].Text == "eve"`, c.Sections)
	}
}

// What another user owns, or others can write, is not believed without approval, by root no more
// than by anybody.
func TestForeignTree(t *testing.T) {
	conf := ".hostler/sources/s/source.conf"
	for name, c := range map[string]struct {
		change func(dir string) error
		want   string
	}{
		"the root is another user's": {
			func(dir string) error { return os.Chown(filepath.Join(dir, ".hostler"), 12345, 12345) },
			".hostler is another user's",
		},
		"the file is another user's": {
			func(dir string) error { return os.Chown(filepath.Join(dir, conf), 12345, 12345) },
			"source.conf is another user's",
		},
		"everybody can write the root": {
			func(dir string) error { return os.Chmod(filepath.Join(dir, ".hostler"), 0o777) },
			"can be written by everybody",
		},
		"everybody can write the sources": {
			func(dir string) error { return os.Chmod(filepath.Join(dir, ".hostler/sources"), os.ModeSticky|0o777) },
			"sources can be written by everybody",
		},
		"everybody can write the file": {
			func(dir string) error { return os.Chmod(filepath.Join(dir, conf), 0o666) },
			"source.conf can be written by everybody",
		},
		"a group can write it": {func(dir string) error {
			return errors.Join(os.Chown(filepath.Join(dir, conf), -1, 12345), os.Chmod(filepath.Join(dir, conf), 0o664))
		}, "source.conf can be written by others of its group"},
	} {
		if os.Geteuid() != 0 && !strings.HasPrefix(name, "everybody") {
			continue // only root can give a file away
		}
		w := newWorld(t)
		w.file(conf, "type = fake")
		if s := w.source("s"); s.Err != nil {
			t.Fatal(s.Err)
		}
		if err := c.change(w.dir); err != nil {
			t.Fatal(err)
		}
		if s := w.source("s"); !errors.Is(s.Err, config.ErrUntrusted) || !strings.Contains(s.Err.Error(), c.want) {
			t.Errorf("%s: s.Err = %v; want error config.ErrUntrusted and s.Err.Error() with c.want", name, s.Err)
		}
		w.approve()
		if s := w.source("s"); s.Err != nil {
			t.Errorf("%s, approved: %v", name, s.Err)
		}
	}
}

// Edits that do no harm ask nothing of what is approved, and all others do, of that item alone.
func TestEditsOfWhatIsApproved(t *testing.T) {
	w := newWorld(t)
	w.opt.Kinds = table(treeKeys)
	w.opt.Trust.Dir = filepath.Join(w.home, "trust")
	w.file(".hostler/sources/build/source.conf", "type = sandbox\nimage = debian:13\n[sandbox]\nmounts = /srv\nmemory = 1G\n")
	w.file(".hostler/sources/far/source.conf", "type = ssh\nssh_host = h\n")
	w.file(".hostler/sources/cloud/source.conf", "type = ec2\nttl = 1h\n")
	w.file(".hostler/sources/all/source.conf", "type = pool\nsources = far, free\n")
	w.file(".hostler/sources/free/source.conf", "type = fake\nimage = a\n")
	w.approve()
	for _, c := range []struct {
		source, text string
		asks         string
	}{
		{"build", "# new\n\nimage: debian:13\ntype = sandbox\nttl = 3h\nreserve = 2\n[sandbox]\nmemory = 2G\nmounts = /srv\n", ""},
		{"build", "type = sandbox\nimage = debian:13\n[sandbox]\nmounts = /srv:rw\n", "source build"},
		{"build", "type = sandbox\nimage = evil/image\n[sandbox]\nmounts = /srv\n", "source build"},
		{"build", "type = sandbox\nimage = debian:13\nreserve = 1000\n[sandbox]\nmounts = /srv\n", "source build"},
		// nothing is left that would have to wait
		{"build", "type = sandbox\nimage = debian:13\n", ""},
		{"build", "type = sandbox\nimage = debian:13\n[sandbox]\nmounts = /srv\n", ""},
		{"far", "type = ssh\nssh_host = h\nttl = 3h\nconcurrency = 2", ""},
		{"far", "type = ssh\nssh_host = other\n", "source far"},
		{"far", "type = ssh\nssh_host = h\n", ""},
		{"cloud", "type = ec2\nttl = none\n", "source cloud"},
		{"cloud", "type = ec2\nttl = 1h\n# cheap", ""},
		{"free", "type = fake\nimage = b\n", "source all"}, // which leads there
	} {
		w.file(".hostler/sources/"+c.source+"/source.conf", c.text)
		var asks []string
		for _, it := range w.load().NeedsTrust()[0].Items {
			switch s := w.source(it.Source); {
			case it.State == config.ItemApproved && s.Err == nil:
			case it.State == config.ItemChanged && errors.Is(s.Err, config.ErrUntrusted) && it.Was != nil:
				asks = append(asks, it.Name)
			default:
				t.Errorf("%s: %q: %s is %s: %v", c.source, c.text, it.Name, it.State, s.Err)
			}
		}
		// the pool is broken, not asked about, while one of its sources waits
		if got := strings.Join(asks, ", "); got != c.asks {
			t.Errorf("%s: %q asks for %q, want %q", c.source, c.text, got, c.asks)
		}
	}
}

// TestOldApprovals: one that was given before items were kept holds as long as it says the same.
func TestOldApprovals(t *testing.T) {
	type files map[string]string
	for name, c := range map[string]struct {
		tree, machine files
		bound         []string // what an approval of then was bound to
		holds         bool
	}{
		"a key": {
			files{"sources/s/source.conf": "type = vm\n[vm]\nqemu = q\n"}, nil, []string{"sources/s/source.conf"}, true,
		},
		"a hook": {
			files{"sources/s/source.conf": "type = fake\n", "sources/s/acquire.d/x": "#!/bin/sh\n"}, nil,
			[]string{"sources/s/source.conf", "sources/s/acquire.d/x"}, true,
		},
		"a job":     {files{"jobs/j.conf": "run = true\n"}, nil, []string{"jobs/j.conf"}, true},
		"a setting": {files{"hostler.conf": "[env]\nallow = A\n"}, nil, []string{"hostler.conf"}, true},
		"sandbox": {
			files{"sources/sandbox/source.conf": "type = local", "sources/a/source.conf": "type = fake"}, nil,
			[]string{"sources/sandbox/source.conf", "sources/a/source.conf"}, true,
		},
		"what was not told": {
			files{"sources/s/source.conf": "type = ssh\nssh_host = h", "jobs/j.conf": "run = true\n"}, nil,
			[]string{"jobs/j.conf"}, false,
		},
		"a name of another's": {
			files{"sources/s/source.conf": "type = vm\n[vm]\nqemu = q\n"}, files{"sources/s/source.conf": "type = fake"},
			[]string{"sources/s/source.conf"}, false,
		},
	} {
		w := newWorld(t)
		w.opt.Kinds = table(treeKeys)
		for file, text := range c.tree {
			path := w.file(".hostler/"+file, text)
			if strings.HasPrefix(text, "#!") {
				os.Chmod(path, 0o755)
			}
		}
		for file, text := range c.machine {
			w.file("~/etc/"+file, text)
		}
		w.opt.Trust.Dir = filepath.Join(w.home, "trust")
		root := filepath.Join(w.dir, ".hostler")
		old := map[string]any{"root": root, "digest": oldDigest(t, root, c.bound), "time": "2026-01-02T03:04:05Z"}
		text, _ := json.Marshal(old)
		w.file(fmt.Sprintf("~/trust/%x.json", sha256.Sum256([]byte(root))), string(text))
		if d := w.load().NeedsTrust(); len(d) != 1 || d[0].Trusted != c.holds {
			t.Errorf("%s: d = %+v; want len(d) == 1 and d[0].Trusted == c.holds", name, d)
		}
		if !c.holds {
			continue
		}
		for file := range c.tree {
			path := filepath.Join(root, file)
			os.WriteFile(path, append([]byte(c.tree[file]), "\n# changed\n"...), 0o755)
			if d := w.load().NeedsTrust(); strings.HasSuffix(name, "a job") && d[0].Trusted {
				t.Errorf("%s: %s has changed", name, file)
			}
		}
	}
}

// oldDigest is what an approval said before items were kept: over the paths of files, where they
// lead, whether they may be executed, and their contents' hashes.
func oldDigest(t *testing.T, root string, files []string) string {
	h := sha256.New()
	slices.Sort(files)
	for _, file := range files {
		path := filepath.Join(root, file)
		data, err := os.ReadFile(path)
		info, err2 := os.Stat(path)
		target, err3 := filepath.EvalSymlinks(path)
		if err := errors.Join(err, err2, err3); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(h, "%q %q %v %x\n", path, target, info.Mode()&0o111 != 0, sha256.Sum256(data))
	}
	return hex.EncodeToString(h.Sum(nil))
}
