//go:build linux

package container_test

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/container"
)

const baseCaps = `"CHOWN","DAC_OVERRIDE","FOWNER","FSETID","KILL","NET_BIND_SERVICE","SETGID","SETUID"`

// TestProfile looks at what an engine is told that a container may do.
func TestProfile(t *testing.T) {
	for _, c := range []struct {
		o    container.Options
		want string
	}{
		{container.Options{}, `{"PidsLimit":2048,"CapAdd":[` + baseCaps + `],"CapDrop":["ALL"],"SecurityOpt":["no-new-privileges"]}`},
		{
			container.Options{Profile: "restricted", PIDs: 50, NewPrivileges: true},
			`{"PidsLimit":50,"CapAdd":[` + baseCaps + `],"CapDrop":["ALL"]}`,
		},
		{container.Options{Profile: "default"}, `{}`},
		{container.Options{Capabilities: []string{"cap_sys_ptrace", "-KILL", "CHOWN"}}, `{"PidsLimit":2048,"CapAdd":[` +
			`"DAC_OVERRIDE","FOWNER","FSETID","NET_BIND_SERVICE","SETGID","SETUID","SYS_PTRACE","CHOWN"],"CapDrop":["ALL"],"SecurityOpt":["no-new-privileges"]}`},
		{
			container.Options{Capabilities: []string{"-ALL", "SETUID"}},
			`{"PidsLimit":2048,"CapAdd":["SETUID"],"CapDrop":["ALL"],"SecurityOpt":["no-new-privileges"]}`,
		},
		{
			container.Options{Profile: "default", Capabilities: []string{"SYS_ADMIN", "-NET_RAW"}},
			`{"CapAdd":["SYS_ADMIN"],"CapDrop":["NET_RAW"]}`,
		},
		{container.Options{
			Profile: "default", ReadOnly: true, Tmpfs: []string{"/tmp:64M", "/run/"}, Runtime: "runsc",
			UserNS: "auto:size=65536",
		},
			`{"ReadonlyRootfs":true,"Tmpfs":{"/run":"rw,exec,nosuid,nodev,mode=1777","/tmp":"rw,exec,nosuid,nodev,mode=1777,size=64m"},"Runtime":"runsc","UsernsMode":"auto:size=65536"}`},
	} {
		if got, err := container.CreateBody(c.o); err != nil || got != c.want {
			t.Errorf("%+v:\n got %s, %v\nwant %s", c.o, got, err, c.want)
		}
	}
	for key, o := range map[string]container.Options{
		"profile":      {Profile: "none"},
		"capabilities": {Capabilities: []string{"SYS ADMIN"}},
		"runtime":      {Runtime: "../runc"},
		"userns":       {UserNS: "container:other"},
		"tmpfs":        {Tmpfs: []string{"/tmp:size=1,uid=0"}},
		"read-only":    {ReadOnly: true, CopyAgent: true},
		"image":        {Image: "../containers/json?x="},
	} {
		want(t, key, o.Check(), compute.ErrInvalid, key)
	}
}

// TestReference names images, and what would lead elsewhere in an engine's path.
func TestReference(t *testing.T) {
	digest := strings.Repeat("0123456789abcdef", 4)
	for _, good := range []string{
		"debian", "debian:13", "team/image", "registry.example/team/image:tag", "127.0.0.1:5000/a/b__c:v1.0",
		"localhost/x-y", "[::1]:5000/a", "Registry.Example/a",
		"sha256:" + digest, digest, "debian@sha256:" + digest, "debian:13@sha256:" + digest,
	} {
		if err := container.Reference(good); err != nil {
			t.Errorf("%s: err = %v; want no error", good, err)
		}
	}
	for _, ref := range []string{ // the bounds of registries
		strings.Repeat("a", 255), strings.Repeat("a", 256), "a.b/" + strings.Repeat("a", 255) + ":1", "a.b/" + strings.Repeat("a", 256),
		"a@sha512:" + digest + digest, "a@sha512:" + digest, "a@sha384:" + strings.Repeat("0a", 48), "a@md5:" + strings.Repeat("0a", 16),
		"a@sha256:" + digest + digest, "[::::]/a", "[::1]/a", "a.b:99999/x",
		"a.b:1@sha256:" + digest, "localhost:5000", "a:1@sha256:" + digest,
	} {
		_, err := name.ParseReference(ref, name.WeakValidation)
		if got := container.Reference(ref); (got == nil) != (err == nil) {
			t.Errorf("%s: got the error %v, and registries say %v", ref, got, err)
		}
	}
	for _, bad := range []string{
		"", "/etc", "..", ".", "../..", "a/../b", "a//b", "a/", "/", "host:5000/..", "../../containers/x/json?", "a?b",
		"a#b", "a%2e%2e", "a b", "a\nb", "A", "a:", "a@sha256:1", "\x1b[31m",
		"registry.example/../../v1.41/info", strings.Repeat("a", 600),
	} {
		want(t, bad, container.Reference(bad), compute.ErrInvalid)
	}
}

// TestRestricted looks from inside at what a container may do, by the default and by keys. It takes
// about 6 s, most of it the engines' for seven containers.
func TestRestricted(t *testing.T) {
	const look = `grep -E '^(CapBnd|CapEff|NoNewPrivs):' /proc/self/status | tr '\n\t' '  '`
	pids := `cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max`
	both(t, func(t *testing.T, d *daemon) {
		p := open(t, d, container.Options{})
		create(t, p, "suite-1")
		conn := connect(t, p, "suite-1")
		if got := sh(t, conn, look); got != "CapEff: 00000000000004fb CapBnd: 00000000000004fb NoNewPrivs: 1" {
			t.Errorf("by default: %s", got)
		}
		if got := sh(t, conn, pids); got != "2048" {
			t.Errorf("by default %s processes", got)
		}
		// What builds and package managers do as root: give files away, become others and end them.
		sh(
			t, conn,
			`mkdir /new && chown 1234:55 /new && chmod 2700 /new && echo x >/new/file && chown 1000 /new/file && su user -s /bin/sh -c 'sleep 100 & echo $!' >/pid && kill $(cat /pid)`,
		)
		sh(t, conn, `! mknod /null c 1 3 2>/dev/null && ! mount -t tmpfs none /new 2>/dev/null && ! chroot / true 2>/dev/null`)

		p = open(
			t, d,
			container.Options{Capabilities: []string{"-ALL"}, PIDs: 99, User: "user", ReadOnly: true, Tmpfs: []string{"/scratch:4M"}},
		)
		create(t, p, "suite-2")
		conn = connect(t, p, "suite-2")
		if got := sh(t, conn, look); got != "CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1" {
			t.Errorf("without capabilities: %s", got)
		}
		sh(
			t, conn,
			`set -e; test "$(id -u)" = 1000; test "$(`+pids+`)" = 99; echo x >/scratch/x; ! dd if=/dev/zero of=/scratch/y bs=1M count=5 2>/dev/null; ! touch /usr/x 2>/dev/null`,
		)

		p = open(t, d, container.Options{Profile: "default", Capabilities: []string{"SYS_PTRACE"}})
		create(t, p, "suite-3")
		if got := sh(
			t, connect(t, p, "suite-3"), look+`; mknod /null c 1 3 2>/dev/null; chroot / true`,
		); !strings.HasSuffix(got, "NoNewPrivs: 0") || strings.Contains(got, "4fb ") {
			t.Errorf("the engine's own: %s", got)
		}
		for _, image := range []string{"/etc", "..", "../../containers/json?all=1&x="} {
			_, err := p.Create(t.Context(), compute.Spec{ID: "suite-4", Image: image})
			want(t, image, err, compute.ErrInvalid, "image")
			_, err = p.Probe(t.Context(), compute.Spec{Image: image})
			want(t, image, err, compute.ErrInvalid, "image")
			_, err = p.ImageDigest(t.Context(), image, false)
			want(t, image, err, compute.ErrInvalid, "image")
		}
	})
}
