//go:build linux

package mask_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/sandbox/mask"
)

const passwd = `root:x:0:0:root:/root:/bin/bash
daemon:x:1:1::/usr/sbin:/usr/sbin/nologin
systemd-network:x:998:998::/:/usr/sbin/nologin
postgres:x:101:104::/var/lib/postgresql:/bin/bash
www-data:x:33:33::/var/www:/usr/sbin/nologin
ghost:x:34:34::/var/ghost:/usr/sbin/nologin
irc:x:39:39::/run/ircd:/usr/sbin/nologin
alice:x:12345:12345::/home/alice:/bin/bash
bob:x:1001:1001::/home/bob:/bin/bash
carol:x:1002:1002::/data/people/carol:/bin/bash
sys:x:1003:1003::/usr/bin:/bin/bash
broken:line
nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
`

// host is a made-up host's file system: what is secret holds the word SECRET.
type host struct {
	t    *testing.T
	root string
}

func newHost(t *testing.T, root string) *host {
	h := &host{t, root}
	h.file("/etc/passwd", passwd)
	for _, p := range []string{"/usr/bin/true", "/etc/hosts", "/etc/ssh/ssh_host_rsa_key.pub", "/etc/ssh/sshd_config",
		"/var/lib/dpkg/status", "/opt/app/run",
		"/home/alice/project/main.go", "/home/alice/.profile", "/var/www/index.html", "/var/lib/apt/list",
		"/etc/ssl/certs/ca.pem", "/data/open", "/boot/vmlinuz"} {
		h.file(p, "plain "+p)
	}
	for _, p := range []string{"/etc/ssl/private", "/var/log", "/var/mail", "/home/bob", "/root"} {
		h.dir(p)
	}
	h.link("../mail", "/var/spool/mail")
	h.file("/home/bob/letter", "SECRET of bob's")
	h.file("/data/people/carol/letter", "SECRET of carol's")
	return h
}

func (h *host) dir(p string) {
	h.t.Helper()
	if err := os.MkdirAll(h.root+p, 0o755); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) file(p, text string) {
	h.t.Helper()
	h.dir(path.Dir(p))
	if err := os.WriteFile(h.root+p, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) link(target, p string) {
	h.t.Helper()
	h.dir(path.Dir(p))
	if err := os.Symlink(target, h.root+p); err != nil {
		h.t.Fatal(err)
	}
}

// secrets makes everything that the table names, as files and as directories by turns.
func (h *host) secrets(homes ...string) (n int) {
	h.t.Helper()
	put := func(p string) {
		p = strings.ReplaceAll(p, "*", "")
		n++
		fi, err := os.Stat(h.root + p)
		if err == nil && !fi.IsDir() {
			return // two lines of the table name it
		}
		if err == nil || n%2 == 0 {
			h.file(p+"/token", "SECRET "+p)
		} else {
			h.file(p, "SECRET "+p)
		}
	}
	for _, home := range homes {
		for _, e := range mask.InHomes() {
			if home == "/" && e.Path[0] != '.' {
				continue
			}
			put(path.Join(home, e.Path))
		}
	}
	for _, e := range mask.OnHost() {
		// what is found by a pattern in the middle must be there before
		if !strings.Contains(e.Path, "*_") && !strings.Contains(e.Path, "/*") {
			put(e.Path)
		}
	}
	return n
}

// giveTo lets a user have the whole tree.
func giveTo(t *testing.T, uid int, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
			if err == nil {
				err = os.Lchown(p, uid, uid)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// person is who makes a sandbox.
type person struct {
	name string
	uid  int
	home string
}

func people(t *testing.T) []person {
	if os.Geteuid() != 0 {
		return []person{{"this user", os.Geteuid(), "/home/alice"}}
	}
	return []person{{"root", 0, "/root"}, {"alice", 12345, "/home/alice"}}
}

// options of a sandbox that p makes over h. Alice's own uid is not this test's when an ordinary
// user runs it.
func (p person) options(h *host) mask.Options {
	return mask.Options{Home: p.home, UID: p.uid, Root: h.root, State: []string{p.home + "/.local/state/hostler"}}
}

// ground returns a directory for a host's tree and one for layers, both with a user's access.
func ground(t *testing.T) (tree, layers string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "mask")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				return os.Chmod(p, 0o700)
			}
			return nil
		})
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	tree, layers = filepath.Join(dir, "tree"), filepath.Join(dir, "layers")
	for _, d := range []string{tree, filepath.Join(dir, "mnt")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(layers, 0o700); err != nil {
		t.Fatal(err)
	}
	return tree, layers
}

// TestSecretsAreHidden makes every secret of the table on a host, before and after the layer is
// made, mounts the layer over it in a sandbox of root's and of an ordinary user's, and tries from
// inside to see a single one of them.
func TestSecretsAreHidden(t *testing.T) {
	for _, who := range people(t) {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s late=%v", who.name, late), func(t *testing.T) {
				tree, layers := ground(t)
				h := newHost(t, tree)
				homes := []string{who.home, "/var/www", "/", "/home/bob", "/data/people/carol", "/var/ghost"}
				secret := 0
				if !late {
					secret = h.secrets(homes...)
					h.file("/etc/ssh/ssh_host_strange_key", "SECRET")
					h.file("/etc/bind/x.key", "SECRET")
					h.file("/etc/shadow.orig", "SECRET")
				}
				plain := []string{"/etc/hosts", "/etc/ssh/ssh_host_rsa_key.pub", "/etc/ssh/sshd_config",
					"/var/lib/dpkg/status", "/usr/bin/true", "/var/www/index.html",
					"/etc/ssl/certs/ca.pem", "/data/open", "/boot/vmlinuz", "/opt/app/run"}
				if who.uid != 0 {
					plain = append(plain, "/home/alice/project/main.go", "/home/alice/.profile")
				}
				if os.Geteuid() == 0 {
					giveTo(t, who.uid, tree, layers, filepath.Join(filepath.Dir(tree), "mnt"))
				}
				m := make_(t, who, layers, who.options(h))
				if late {
					secret = h.secrets(homes...)
				}
				if os.Geteuid() == 0 {
					giveTo(t, who.uid, tree)
				}
				saw := enter(t, who, sandbox{Lower: tree, Layer: m.Layer, Apart: apart(m), Attack: true})
				if len(saw.Secrets) > 0 {
					t.Errorf("%d secrets are seen: %v", len(saw.Secrets), saw.Secrets)
				}
				for _, p := range plain {
					if !slices.Contains(saw.Plain, p) {
						t.Errorf("%s is not seen", p)
					}
				}
				if saw.Attacks < 400 {
					t.Errorf("only %d attacks were tried", saw.Attacks)
				}
				// Without the layer they are all there, so the above means something.
				// those in fresh places are not counted twice
				if saw := enter(t, who, sandbox{Lower: tree, Apart: apart(m)}); len(saw.Secrets) < secret-20 {
					t.Errorf("without the layer only %d of %d secrets are seen", len(saw.Secrets), secret)
				}
			})
		}
	}
}

func apart(m mask.Mask) (out []string) {
	for _, r := range m.Rules {
		if r.Kind == mask.Apart {
			out = append(out, r.Path)
		}
	}
	return out
}

func kinds(rules []mask.Rule) map[string]mask.Kind {
	out := map[string]mask.Kind{}
	for _, r := range rules {
		out[r.Path] = r.Kind
	}
	return out
}

// TestRules looks at single rules for their kinds, on a host with links.
func TestRules(t *testing.T) {
	tree, _ := ground(t)
	h := newHost(t, tree)
	h.file("/data/keys/alice/id", "SECRET")
	h.link("/data/keys/alice", "/home/alice/.ssh")
	h.link("/dev/null", "/home/alice/.bash_history")
	h.link("/", "/home/alice/.docker")
	h.link("loop", "/home/alice/.aws")
	h.link("loop", "/home/alice/loop")
	h.dir("/srv/real")
	h.link("/srv/real", "/home/alice/.kube")
	h.file("/home/alice/.config/gh/hosts.yml", "SECRET")
	h.dir("/home/alice/show/me")
	h.file("/root/x", "SECRET")
	h.file("/var/cache/debconf/passwords.dat-old", "SECRET")
	h.file("/.snapshots/1/snapshot/etc/shadow", "SECRET")
	h.file("/sysroot/ostree/deploy/one/etc/shadow", "SECRET")
	h.link("sysroot/ostree", "/ostree")
	o := mask.Options{
		Home: "/home/alice", UID: 12345, Root: h.root, State: []string{"/home/alice/.local/state/hostler", "/srv/state"},
		Extra: []string{"~/project/keys", "/opt/app"},
		Show:  []string{"~/.kube", "/var/log"},
	}
	rules, err := mask.Rules(o)
	if err != nil {
		t.Fatal(err)
	}
	got := kinds(rules)
	for p, want := range map[string]mask.Kind{
		"/home": mask.Empty, "/home/alice": mask.Apart, "/home/bob": 0, "/root": mask.Empty, "/data/people/carol": mask.Empty,
		"/home/alice/.ssh": mask.Hide, "/data/keys/alice": mask.Hide, "/home/alice/.bash_history": mask.Hide,
		"/dev/null": 0, "/home/alice/.docker": mask.Hide, "/": 0,
		"/home/alice/.aws": mask.Hide, "/home/alice/loop": 0, "/home/alice/.config/gh": mask.Hide,
		"/home/alice/.config/gcloud": mask.Hide, "/home/alice/.config": 0,
		"/home/alice/.local": mask.Hide, "/home/alice/.local/state": 0, "/srv/state": mask.Hide,
		"/home/alice/project/keys": mask.Hide, "/opt/app": mask.Hide,
		"/home/alice/.kube": 0, "/srv/real": 0, "/var/log": 0, "/etc/shadow": mask.Hide, "/etc/ssl/private": mask.Empty,
		"/etc/kubernetes":     mask.Hide,
		"/etc/NetworkManager": mask.Hide, "/var/mail": mask.Empty, "/var/spool/mail": 0, "/usr/bin": 0, "/usr/sbin": 0,
		"/run": 0, "/run/ircd": 0,
		"/var/www/.ssh": mask.Hide, "/.ssh": mask.Hide, "/snap": 0, "/var/ghost": mask.Hide, "/nonexistent": mask.Hide,
		"/var/lib/postgresql":              mask.Hide,
		"/var/cache/debconf/passwords.dat": mask.Hide, "/var/cache/debconf/passwords.dat-old": mask.Hide,
		"/var/cache/debconf": 0, "/.snapshots": mask.Hide,
		"/.zfs": mask.Hide, "/var/.zfs": mask.Hide, "/home/alice/.zfs": mask.Hide, "/sysroot": mask.Hide,
		"/ostree": mask.Hide, "/timeshift": mask.Hide,
	} {
		if got[p] != want {
			t.Errorf("%s: %q, want %q", p, got[p], want)
		}
	}
	if !slices.IsSortedFunc(rules, func(a, b mask.Rule) int { return strings.Compare(a.Path, b.Path) }) {
		t.Error("not sorted")
	}
	for p, want := range map[string]bool{
		"/home": true, "/home/bob": true, "/home/alice": false, "/home/alice/project": false, "/home/alice/.ssh/x": true,
		"/": false, "/usr/bin/true": false, "/opt/app/run": true,
	} {
		if mask.Covers(rules, p) != want {
			t.Errorf("Covers %s: %v", p, !want)
		}
	}

	// A part of what is hidden can be shown if it is a directory; what is secret in a shown home
	// stays so.
	o.Show = []string{"/home/bob", "~/.config/gh"}
	if rules, err = mask.Rules(o); err != nil {
		t.Fatal(err)
	}
	got = kinds(rules)
	if got["/home/bob"] != mask.Apart || got["/home"] != mask.Empty || got["/home/alice/.config/gh"] != 0 {
		t.Errorf("shown: %q %q %q", got["/home/bob"], got["/home"], got["/home/alice/.config/gh"])
	}
	// Of two that lie in one another the inner one counts.
	h.dir("/home/alice/a/b")
	h.dir("/home/alice/c/d")
	o.Show, o.Extra = []string{"~/a/b", "~/c"}, []string{"~/a", "~/c/d"}
	if rules, err = mask.Rules(o); err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]bool{
		"/home/alice/a/x": true, "/home/alice/a/b/x": false, "/home/alice/c/x": false, "/home/alice/c/d/x": true,
	} {
		if mask.Covers(rules, p) != want {
			t.Errorf("Covers %s: %v", p, !want)
		}
	}
	// When it is another's home that the caller has, the caller's is what matters.
	o = mask.Options{Home: "/var/lib/postgresql", UID: 101, Root: h.root}
	h.dir("/var/lib/postgresql/data")
	if rules, err = mask.Rules(o); err != nil {
		t.Fatal(err)
	}
	if got = kinds(rules); got["/var/lib/postgresql"] != 0 || got["/var/lib/postgresql/.ssh"] != mask.Hide {
		t.Errorf("postgres: %q %q", got["/var/lib/postgresql"], got["/var/lib/postgresql/.ssh"])
	}
	for name, bad := range map[string]mask.Options{
		"relative home": {Home: "x", Root: h.root}, "relative extra": {Extra: []string{"x"}, Root: h.root},
		"relative state": {State: []string{"x"}, Root: h.root},
		"the system":     {Extra: []string{"/usr"}, Root: h.root},
		"a hidden file":  {Home: "/root", Show: []string{"/root/x"}, UID: 5, Extra: []string{"/root"}, Root: h.root},
		"a way to our own": {
			Home: "/home/alice", UID: 12345, State: []string{"/srv/real"}, Show: []string{"/home/alice/.kube"},
			Root: h.root,
		},
		"the home": {Home: "/home/alice", Extra: []string{"/home/alice"}, Root: h.root},
		"a part":   {Home: "/home/alice", UID: 12345, Show: []string{"/home/bob/letter"}, Root: h.root},
	} {
		if _, err := mask.Rules(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestBuild: a layer looks as the host, is made once, and anew when the host changes.
func TestBuild(t *testing.T) {
	tree, layers := ground(t)
	h := newHost(t, tree)
	o := mask.Options{Home: "/root", UID: os.Geteuid(), Root: h.root}
	when := time.Date(2020, 1, 2, 3, 4, 5, 600, time.UTC)
	if err := os.Chmod(h.root+"/etc/ssl/private", 0o710); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(h.root+"/etc/ssl/private", when, when); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Lchown(h.root+"/etc/ssl/private", 3, 4); err != nil {
			t.Fatal(err)
		}
	}
	m, err := mask.Make(t.Context(), layers, o)
	if err != nil {
		t.Fatal(err)
	}
	var a, b unix.Stat_t
	if err := unix.Lstat(h.root+"/etc/ssl/private", &a); err != nil {
		t.Fatal(err)
	}
	if err := unix.Lstat(m.Layer+"/etc/ssl/private", &b); err != nil {
		t.Fatal(err)
	}
	if a.Mode != b.Mode || a.Uid != b.Uid || a.Gid != b.Gid || a.Mtim != b.Mtim {
		t.Errorf("a = %+v\nb = %+v; want a.Mode == b.Mode and a.Uid == b.Uid and a.Gid == b.Gid and a.Mtim == b.Mtim", a, b)
	}
	if err := unix.Lstat(m.Layer+"/etc/shadow", &b); err != nil || b.Mode != unix.S_IFCHR || b.Rdev != 0 {
		t.Errorf("b = %+v err = %v; want no error and b.Mode == unix.S_IFCHR and b.Rdev == 0", b, err)
	}
	if again, err := mask.Make(t.Context(), layers, o); err != nil || again.Layer != m.Layer || !slices.Equal(again.Rules, m.Rules) {
		t.Errorf("again = %v err = %v; want no error and again.Layer == m.Layer and again.Rules == m.Rules", again, err)
	}
	time.Sleep(60 * time.Millisecond) // now the stamp is written, and read
	for range 2 {
		if again, err := mask.Make(t.Context(), layers, o); err != nil || again.Layer != m.Layer || !slices.Equal(again.Rules, m.Rules) {
			t.Errorf("again = %v err = %v; want no error and again.Layer == m.Layer and again.Rules == m.Rules", again, err)
		}
	}
	stamps, _ := filepath.Glob(layers + "/stamp-*")
	if len(stamps) != 1 {
		t.Errorf("stamps: %v", stamps)
	}
	// What happens in places that are fresh in a sandbox does not matter, also if we have a
	// directory there.
	h.dir("/tmp")
	o.State = []string{"/tmp/hostler"}
	for range 2 {
		if _, err := mask.Make(t.Context(), layers, o); err != nil {
			t.Fatal(err)
		}
		time.Sleep(60 * time.Millisecond)
	}
	stamps, _ = filepath.Glob(layers + "/stamp-*")
	h.file("/tmp/x", "new")
	var before, after unix.Stat_t
	for _, st := range stamps {
		if err := unix.Lstat(st, &before); err != nil {
			t.Fatal(err)
		}
		if _, err := mask.Make(t.Context(), layers, o); err != nil {
			t.Fatal(err)
		}
		if err := unix.Lstat(st, &after); err != nil || before.Ino != after.Ino {
			t.Errorf("the stamp was written anew: %v", err)
		}
	}
	o.State = nil
	h.dir("/root/.config/other") // so .config is no longer to be hidden as a whole
	next, err := mask.Make(t.Context(), layers, o)
	if err != nil {
		t.Fatal(err)
	}
	if next.Layer == m.Layer || kinds(next.Rules)["/root/.config"] != 0 || kinds(next.Rules)["/root/.config/gh"] != mask.Hide {
		t.Errorf(
			"next = %v"+
				`; want next.Layer != m.Layer and kinds(next.Rules)["/root/.config"] == 0 and `+
				`kinds(next.Rules)["/root/.config/gh"] == mask.Hide`,
			next,
		)
	}
	if len(stamps) != 2 {
		t.Errorf("stamps: %v", stamps)
	}
	for _, st := range stamps {
		if err := os.WriteFile(st, []byte("rubbish that is longer than a sum of 32 bytes, by a few"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if again, err := mask.Make(t.Context(), layers, o); err != nil || again.Layer != next.Layer {
		t.Errorf("again = %v err = %v; want no error and again.Layer == next.Layer", again, err)
	}
	if err := os.Chmod(h.root+"/etc", 0o700); err != nil {
		t.Fatal(err)
	}
	if third, err := mask.Make(t.Context(), layers, o); err != nil || third.Layer == next.Layer {
		t.Errorf("third = %v err = %v; want no error and third.Layer != next.Layer", third, err)
	}
	// What is not asked for and not in use goes, also what a dead process left.
	if err := os.MkdirAll(layers+"/new-dead/root", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(layers+"/new-dead", when, when); err != nil {
		t.Fatal(err)
	}
	if err := mask.Prune(layers, time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(m.Layer); err != nil {
		t.Error("a layer that was used just now is gone")
	}
	held, err := mask.Hold(next.Layer)
	if err != nil {
		t.Fatal(err)
	}
	prune := func(want ...string) {
		t.Helper()
		if err := mask.Prune(layers, time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		entries, _ := os.ReadDir(layers)
		var got []string
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), "old-") {
				if _, err := os.Stat(layers + "/" + e.Name() + "/root/etc"); err != nil {
					t.Errorf("it is not whole any more: %v", err)
				}
				continue
			}
			got = append(got, e.Name())
		}
		if !slices.Equal(got, want) {
			t.Errorf("left: %v, want %v", got, want)
		}
	}
	prune(filepath.Base(filepath.Dir(next.Layer)), "new-dead")
	if err := unix.Close(held); err != nil {
		t.Fatal(err)
	}
	prune("new-dead")
	if _, err := mask.Hold(next.Layer); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("hold what is pruned: %v", err)
	}
	aside, _ := filepath.Glob(layers + "/old-*")
	if len(aside) < 3 {
		t.Errorf("aside: %v", aside)
	}
	for _, dir := range aside {
		if err := os.Chtimes(dir, when, when); err != nil {
			t.Fatal(err)
		}
	}
	// With the next that is made goes what nobody wanted for a day, and what was put aside an hour
	// ago.
	again, err := mask.Make(t.Context(), layers, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Dir(again.Layer), when, when); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(h.root+"/etc", 0o711); err != nil {
		t.Fatal(err)
	}
	if _, err := mask.Make(t.Context(), layers, o); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(again.Layer); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a layer that nobody wanted is still there: %v", err)
	}
	if now, _ := filepath.Glob(layers + "/[on][le][dw]-*"); len(now) != 1 {
		t.Errorf("put aside long ago: %v", now)
	}
}

func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range append(mask.InHomes(), mask.OnHost()...) {
		if seen[e.Path] || e.Why == "" || path.Clean(e.Path) != e.Path {
			t.Errorf(`e = %+v; want !seen[e.Path] and e.Why != "" and path.Clean(e.Path) == e.Path`, e)
		}
		seen[e.Path] = true
		if !strings.Contains(mask.Markdown(), "`"+e.Path+"`") || strings.Contains(e.Why, "|") {
			t.Errorf("%s is not in the documentation", e.Path)
		}
	}
}
