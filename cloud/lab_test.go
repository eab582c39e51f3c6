package cloud_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/cloud"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
)

// sshLab brings up two real hosts that ssh reaches, with file systems of their own.
func sshLab(t *testing.T) map[string]string {
	if os.Geteuid() != 0 {
		t.Skip("the lab's ssh hosts need root")
	}
	t.Setenv("SSH_AUTH_SOCK", "")
	lab := computetest.Lab{Set: "cloud", Net: 68}
	kv := lab.Run(t, "ssh-hosts", "up", "2")
	t.Cleanup(func() { _, _ = lab.Try("ssh-hosts", "down") })
	return kv
}

func labServer(kv map[string]string, name, user string) *cloud.Server {
	return cloud.NewServer(cloud.Host{Address: kv[name], User: user, ConfigFile: kv["ssh_config"]})
}

// stub puts a program on a host that notes its words in /log and does what body says.
func stub(t *testing.T, root, name, body string) {
	t.Helper()
	file := filepath.Join(root, name)
	text := "#!/bin/sh\n[ $# = 0 ] && set -- ''\necho \"${0##*/} $*\" >>/log\n" + body + "\n"
	if err := errors.Join(
		os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o755), os.Chmod(file, 0o755),
	); err != nil {
		t.Fatal(err)
	}
}

func logged(t *testing.T, root string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(root, "log"))
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// TestSSHHost works with real hosts over ssh: commands, files, directories that need sudo, and the
// exact commands of the shared disk. The programs of NFS and the package manager are stubs there
// that note how they are called: this kernel has no NFS.
func TestSSHHost(t *testing.T) {
	kv := sshLab(t)
	ctx := t.Context()
	srv := labServer(kv, "name1", "user")
	root := kv["root1"]
	defer srv.Destroy(ctx)

	out, _, err := srv.RunCmd(ctx, `echo "$USER it's"`, false)
	if out != "user it's\n" || err != nil {
		t.Fatalf("out = %q, err = %v; want out == \"user it's\\n\" and no error", out, err)
	}
	// only root may make /srv/deep
	if err := srv.CreateFile(ctx, "text", "/srv/deep/er/file"); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(root, "srv/deep/er/file")); string(b) != "text" || err != nil {
		t.Errorf(`b = %q, err = %v; want string(b) == "text" and no error`, b, err)
	}
	local := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(local, []byte("#!/bin/sh\necho up\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := srv.CopyOver(ctx, []cloud.File{{Local: local, Remote: "~/bin/up"}}); err != nil {
		t.Fatal(err)
	}
	if out, _, err := srv.RunCmd(ctx, "~/bin/up", false); out != "up\n" || err != nil {
		t.Errorf("a copied program does not run: %q, %v", out, err)
	}
	if pid, _, err := srv.RunCmd(ctx, "sleep 1000", true); err != nil {
		t.Error(err)
	} else if _, _, err := srv.RunCmd(ctx, "kill "+strings.TrimSpace(pid), false); err != nil {
		t.Errorf("what was started in the background is gone: %v", err)
	}
	if err := srv.WaitUntilReady(ctx, nil, "#!/bin/sh\necho 'export FROM_PROFILE=1' >>~/.profile"); err != nil {
		t.Error(err)
	}

	t.Run("create", func(t *testing.T) {
		stub(
			t, root, "usr/local/bin/apt-get",
			`case " $* " in *" install "*) printf '#!/bin/sh\necho "exportfs $*" >>/log\n' >/usr/local/bin/exportfs; chmod 755 /usr/local/bin/exportfs;; esac`,
		)
		stub(t, root, "etc/init.d/nfs-kernel-server", "")
		if err := os.WriteFile(filepath.Join(root, "log"), nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(root, "log"), 0o666); err != nil {
			t.Fatal(err)
		}
		// The host's address is one of the loopback's, of which nobody says in which network it is
		// but the host itself.
		stub(t, root, "usr/local/bin/ip", `echo "2: eth0    inet `+kv["host1"]+`/24 brd 127.77.255.255 scope global eth0"`)
		config := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(config, []byte("Host *\n  UserKnownHostsFile "+kv["known_hosts"]+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		one := cloud.NewServer(cloud.Host{Address: kv["host1"], User: "user", ConfigFile: config, Key: kv["key"]})
		defer one.Destroy(ctx)
		for range 2 {
			if err := one.CreateSharedDisk(ctx); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{
			"ip -o -4 addr show",
			"apt-get -qq -o DPkg::Lock::Timeout=60 update",
			"apt-get -qq -y -o DPkg::Lock::Timeout=60 --no-install-recommends install nfs-kernel-server",
			"nfs-kernel-server start", "exportfs -ra",
			"ip -o -4 addr show", "nfs-kernel-server start", "exportfs -ra",
		}
		if got := logged(t, root); !slices.Equal(got, want) {
			t.Errorf("%q\nwant %q", got, want)
		}
		net := kv["host1"][:strings.LastIndexByte(kv["host1"], '.')] + ".0/24"
		if b, err := os.ReadFile(
			filepath.Join(root, "etc/exports.d/hostler.exports"),
		); string(b) != "/shared "+net+"(rw,sync,no_subtree_check,no_root_squash)\n" ||
			err != nil {
			t.Errorf("exported: %q, %v", b, err)
		}
		if info, err := os.Stat(filepath.Join(root, "shared")); err != nil || !info.IsDir() {
			t.Errorf("err = %v; want no error and info.IsDir()", err)
		}
		if _, _, err := one.RunCmd(ctx, "touch /shared/mine", false); err != nil || !one.SharedDisk() {
			t.Errorf("the user may not write to the shared disk: %v", err)
		}
	})

	t.Run("mount", func(t *testing.T) {
		root := kv["root2"]
		two := labServer(kv, "name2", "root")
		defer two.Destroy(ctx)
		stub(
			t, root, "usr/local/bin/apt-get",
			`case " $* " in *" install "*) : >/usr/local/bin/mount.nfs; chmod 755 /usr/local/bin/mount.nfs;; esac`,
		)
		stub(t, root, "usr/local/bin/mount", "")
		if err := two.MountSharedDisk(ctx, "10.0.0.9"); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"apt-get -qq -o DPkg::Lock::Timeout=60 update",
			"apt-get -qq -y -o DPkg::Lock::Timeout=60 --no-install-recommends install nfs-common",
			"mount -t nfs -o nfsvers=4,proto=tcp,hard,timeo=150,retrans=3,noatime 10.0.0.9:/shared /shared",
		}
		if got := logged(t, root); !slices.Equal(got, want) {
			t.Errorf("%q\nwant %q", got, want)
		}
		if info, err := os.Stat(filepath.Join(root, "shared")); err != nil || !info.IsDir() || !two.SharedDisk() {
			t.Errorf("err = %v; want no error and info.IsDir() and two.SharedDisk()", err)
		}
		if err := two.MountSharedDisk(ctx, "10.0.0.9; rm -rf /"); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("an address that is none: %v", err)
		}
		stub(t, root, "usr/local/bin/mount", "echo 'mount.nfs: Connection refused' >&2; exit 32")
		if err := two.MountSharedDisk(ctx, "10.0.0.9"); err == nil || !strings.Contains(err.Error(), "Connection refused") {
			t.Errorf(`err = %v; want an error and err.Error() with "Connection refused"`, err)
		}
	})

	t.Run("distributions", func(t *testing.T) {
		root := kv["root2"]
		two := labServer(kv, "name2", "root")
		defer two.Destroy(ctx)
		for manager, want := range map[string][2]string{
			"dnf":    {"dnf -q -y install nfs-utils", "dnf -q -y install nfs-utils"},
			"yum":    {"yum -q -y install nfs-utils", "yum -q -y install nfs-utils"},
			"zypper": {"zypper -q -n install nfs-kernel-server", "zypper -q -n install nfs-client"},
			"apk":    {"apk -q add nfs-utils", "apk -q add nfs-utils"},
			"pacman": {"pacman -q -S --noconfirm --needed nfs-utils", "pacman -q -S --noconfirm --needed nfs-utils"},
		} {
			dir := "stubs-" + manager
			stub(t, root, dir+"/"+manager, `for p in exportfs mount.nfs; do printf '#!/bin/sh\n' >/`+dir+`/$p; chmod 755 /`+dir+`/$p; done`)
			stub(t, root, dir+"/mount", "")
			starts := "systemctl enable --now nfs-server"
			if system := "mkdir -p /run/systemd/system"; manager == "apk" {
				starts = "rc-service nfs start"
				stub(t, root, dir+"/rc-update", "")
				stub(t, root, dir+"/rc-service", "")
			} else if _, _, err := two.RunCmd(ctx, system, false); err != nil {
				t.Fatal(err)
			} else {
				stub(t, root, dir+"/systemctl", "")
			}
			for i, script := range []string{cloud.Export, cloud.Mount} {
				for _, p := range []string{"exportfs", "mount.nfs"} {
					_ = os.Remove(filepath.Join(root, dir, p))
				}
				if err := two.CreateFile(ctx, script, "/script"); err != nil {
					t.Fatal(err)
				}
				// Of this host's own programs those alone are there that every distribution has.
				line := "for p in sh id mkdir tee awk chown chmod printf cat; do ln -sf $(command -v $p) /" + dir + "/; done; PATH=/" + dir + " exec sh /script /shared 10.1.0.0/16"
				if _, _, err := two.RunCmd(ctx, line, false); err != nil {
					t.Errorf("%s: err = %v; want no error", manager, err)
				}
				got := logged(t, root)
				if !slices.Contains(got, want[i]) || i == 0 && !slices.Contains(got, starts) {
					t.Errorf("%s: %q, want %q and %q in it", manager, got, want[i], starts)
				}
			}
			if _, _, err := two.RunCmd(ctx, "rm -rf /run/systemd/system", false); err != nil {
				t.Fatal(err)
			}
		}
		if err := two.CreateFile(ctx, cloud.Mount, "/script"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := two.RunCmd(
			ctx,
			"mkdir /bare; for p in sh id awk; do ln -s $(command -v $p) /bare/; done; PATH=/bare exec sh /script /shared 10.1.0.0/16",
			false,
		); err == nil || !strings.Contains(err.Error(), "no package manager that is known") {
			t.Errorf("without any: %v", err)
		}
	})

	t.Run("refused", func(t *testing.T) {
		lab := computetest.Lab{Set: "cloud", Net: 68}
		lab.Run(t, "ssh-hosts", "fault", "2", "deny")
		defer lab.Run(t, "ssh-hosts", "heal", "2")
		two := labServer(kv, "name2", "root")
		began := time.Now()
		if _, _, err := two.RunCmd(ctx, "true", false); !errors.Is(err, compute.ErrDenied) {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}
