//go:build linux

package container_test

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/container"
	"github.com/hostler-project/hostler/remote/agent"
)

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		o    container.Options
		says string
	}{
		{container.Options{Pull: "often"}, "pull"},
		{container.Options{Socket: "tcp://10.0.0.1:2375"}, "unix socket"},
		{container.Options{Socket: "ssh://there"}, "unix socket"},
		{container.Options{Socket: "docker.sock"}, "absolute"},
		{container.Options{Mounts: []string{"/a"}}, "SRC:DST"},
		{container.Options{Mounts: []string{"/a:/b:rx"}}, "SRC:DST"},
		{container.Options{Mounts: []string{"a/b:/b"}}, "absolute"},
		{container.Options{Mounts: []string{"~:/b"}}, "absolute"},
		{container.Options{Mounts: []string{"/a:b"}}, "absolute"},
		{container.Options{Mounts: []string{"/a:/"}}, "below /"},
		{container.Options{Ports: []string{"http"}}, "ports"},
		{container.Options{Ports: []string{"0"}}, "ports"},
		{container.Options{Ports: []string{"80/quic"}}, "ports"},
		{container.Options{Ports: []string{"70000:80"}}, "ports"},
		{container.Options{Ports: []string{"host:80:80"}}, "ports"},
		{container.Options{Ulimits: []string{"nofile"}}, "ulimits"},
		{container.Options{Ulimits: []string{"nofile=2:1"}}, "ulimits"},
		{container.Options{Env: []string{"secret"}}, "env"},
		{container.Options{Memory: -1}, "memory = -1"},
		{container.Options{Memory: 1 << 20}, "memory = 1M: at least 6M"},
		{container.Options{Memory: 1 << 60}, "memory = 1E: at most"},
		{container.Options{Disk: -1}, "disk = -1"},
		{container.Options{Cores: -1}, "cores = -1"},
		{container.Options{Cores: 100_000}, "that this machine has"},
		{container.Options{PIDs: 31}, "pids = 31: at least 32"},
		{container.Options{PIDs: -1}, "pids = -1: at least 32"},
		{container.Options{Network: "a b"}, "network"},
		{container.Options{Egress: []string{"internet"}, Network: "host"}, "network = host"},
		{container.Options{Egress: []string{"pypi.org:443"}}, "names are for sandboxes"},
		{container.Options{Egress: []string{"none", "internet"}}, "none stands alone"},
		{container.Options{Egress: []string{"none"}, Network: "host"}, "network = host"},
		{container.Options{Egress: []string{"none"}, Ports: []string{"80"}}, "ports"},
	} {
		c.o.Source, c.o.Installation = "suite", "mine"
		_, err := container.Open(t.Context(), nil, c.o)
		want(t, c.says, err, compute.ErrInvalid, c.says)
	}
	t.Setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
	_, err := container.Open(t.Context(), nil, container.Options{Source: "suite", Installation: "mine"})
	want(t, "$DOCKER_HOST", err, compute.ErrInvalid, "DOCKER_HOST", "unix socket")
}

// TestNoEngine opens a source where no engine is.
func TestNoEngine(t *testing.T) {
	p, err := container.Open(
		t.Context(), nil,
		container.Options{Source: "suite", Installation: "mine", Socket: filepath.Join(t.TempDir(), "none.sock")},
	)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.List(t.Context())
	want(t, "List", err, compute.ErrUnavailable, "start docker")
	want(t, "Destroy", p.Destroy(t.Context(), "suite-1"), compute.ErrUnavailable)
}

// TestLimits looks from inside at what the options limit.
func TestLimits(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		p := open(
			t, d,
			container.Options{Cores: 0.5, Memory: 64 << 20, PIDs: 64, Ulimits: []string{"nofile=500:600", "nproc=1000", "core=0"}},
		)
		in, err := p.Create(t.Context(), compute.Spec{ID: "suite-1", Memory: 96 << 20})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { destroy(t, p, "suite-1") })
		conn := connect(t, p, "suite-1")
		for what, script := range map[string]string{
			"500": "ulimit -Sn",
			"600": "ulimit -Hn",
			"64":  "cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max",
			"0.50": "if test -e /sys/fs/cgroup/cpu.max; then read q p </sys/fs/cgroup/cpu.max; else read q " +
				"</sys/fs/cgroup/cpu/cpu.cfs_quota_us; read p </sys/fs/cgroup/cpu/cpu.cfs_period_us; fi; echo $q $p | " +
				"awk '{ printf \"%.2f\", $1/$2 }'",
			"96": "m=$(cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max); echo $((m >> 20))",
		} {
			if got := sh(t, conn, script); got != what {
				t.Errorf("%s: %q, want %q", script, got, what)
			}
		}
		// The shell reads by itself what the loop has said: while its processes live, no other can
		// be started to do so.
		if out := sh(
			t, conn, `(for i in $(seq 100); do sleep 1 & done) 2>/said; read word </said; echo "$word"`,
		); !strings.Contains(out, "fork") {
			t.Errorf("100 processes where 64 are allowed: %s", out)
		}
		if in.Facts["image"] != "tiny" || in.Facts["arch"] != runtime.GOARCH ||
			!strings.HasPrefix(in.Facts["engine"], d.name+" ") || len(in.Facts["image-digest"]) < 64 {
			t.Errorf("facts: %v", in.Facts)
		}
		for _, spec := range []compute.Spec{{ID: "suite-2", Cores: 10000}, {ID: "suite-2", Memory: 1 << 60}} {
			_, err = open(t, d, container.Options{}).Create(t.Context(), spec)
			want(t, "more than there is", err, compute.ErrNoCapacity, "asked for")
		}
		_, err = open(t, d, container.Options{Disk: 100 << 20}).Create(t.Context(), compute.Spec{ID: "suite-3"})
		want(t, "disk on a driver that cannot", err, compute.ErrInvalid, "disk")
		destroy(t, p, "suite-3")
	})
}

// TestLadder lets podman set limits that are higher than its own, as it does by default: lower ones
// are tried, and kept.
func TestLadder(t *testing.T) {
	d := podman.need(t)
	normal := d.make(
		t, "by-default",
		map[string]any{"Image": "tiny", "Entrypoint": []string{"sleep", "1000"}, "HostConfig": map[string]any{"NetworkMode": "none"}},
	)
	if _, err := d.request(http.MethodPost, "/containers/"+normal+"/start", nil); err == nil {
		t.Skip("podman: it may raise its limits here")
	}
	p := open(t, d, container.Options{})
	container.HideLimits(p)
	create(t, p, "suite-1")
	if got := sh(t, connect(t, p, "suite-1"), "ulimit -n"); got != "4096" {
		t.Errorf("ulimit -n is %s", got)
	}
	if _, err := p.Clean(t.Context(), "suite-1"); err != nil {
		t.Fatal(err)
	}
	if got := sh(t, connect(t, p, "suite-1"), "ulimit -n"); got != "4096" {
		t.Errorf("after Clean ulimit -n is %s", got)
	}
	p = open(t, d, container.Options{Ulimits: []string{"nofile=100000000"}})
	_, err := p.Create(t.Context(), compute.Spec{ID: "suite-2"})
	t.Cleanup(func() { destroy(t, p, "suite-2") })
	want(t, "a limit that cannot be set", err, compute.ErrInvalid, "ulimits")
}

// TestPlaces mounts directories, a volume and what is not there.
func TestPlaces(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte("host"), 0o644); err != nil {
			t.Fatal(err)
		}
		p := open(
			t, d,
			container.Options{
				Mounts: []string{dir + ":/ro", dir + ":/rw:rw", "hostler-suite:/volume:rw"},
				Env:    []string{"GREETING=hello, you"},
			},
		)
		t.Cleanup(func() { _, _ = d.request(http.MethodDelete, "/volumes/hostler-suite", nil) })
		create(t, p, "suite-1")
		conn := connect(t, p, "suite-1")
		sh(
			t, conn,
			`test "$(cat /ro/file)" = host; ! echo x 2>/dev/null >/ro/file; echo guest >/rw/new; echo v >/volume/v; `+
				`test "$GREETING" = "hello, you"`,
		)
		if b, err := os.ReadFile(filepath.Join(dir, "new")); err != nil || string(b) != "guest\n" {
			t.Errorf("what was written to the shared directory: %q, %v", b, err)
		}
		sh(t, conn, `! echo x 2>/dev/null >/.hostler-agent`)
		if got := sh(t, conn, "hostname"); got != "suite-1" {
			t.Errorf("the host name is %q", got)
		}
		_, err := open(t, d, container.Options{Mounts: []string{"/nowhere/at/all:/x"}}).Create(t.Context(), compute.Spec{ID: "suite-2"})
		t.Cleanup(func() { destroy(t, p, "suite-2") })
		if err == nil || !strings.Contains(err.Error(), "/nowhere/at/all") {
			t.Errorf("a mount of what is not there: %v", err)
		}
	})
}

// TestUser has commands run as whom the source, the image or the command says.
func TestUser(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		id := func(conn compute.Conn, user string) string {
			t.Helper()
			var out bytes.Buffer
			if _, err := conn.Run(t.Context(), &compute.Command{Args: []string{"id", "-u"}, Stdout: &out, User: user}); err != nil {
				t.Errorf("as %q: %v", user, err)
			}
			return strings.TrimSpace(out.String())
		}
		for i, user := range []string{"", "user", "1234:55"} {
			p := open(t, d, container.Options{User: user})
			name := compute.ID("suite-" + strconv.Itoa(i))
			create(t, p, name)
			conn := connect(t, p, name)
			if got, want := id(conn, ""), map[string]string{"": "0", "user": "1000", "1234:55": "1234"}[user]; got != want {
				t.Errorf("user %q is %s, want %s", user, got, want)
			}
			for range 2 {
				if got := id(conn, "user"); got != "1000" {
					t.Errorf("with user %q, a command for user is run as %s", user, got)
				}
			}
			if got := id(conn, "root"); got != "0" {
				t.Errorf("with user %q, a command for root is run as %s", user, got)
			}
			_, err := conn.Run(t.Context(), &compute.Command{Args: []string{"true"}, User: "nobody-of-this-name"})
			want(t, "a user that is not there", err, compute.ErrCannotStart, "nobody-of-this-name")
		}
	})
}

// freePort is an address on which nobody listens, with a port that no connection is given in
// between: those that the kernel chooses itself begin at 32768.
func freePort(t *testing.T) string {
	t.Helper()
	for n := range 10000 {
		at := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+(os.Getpid()+n)%10000))
		if l, err := net.Listen("tcp", at); err == nil {
			_ = l.Close()
			return at
		}
	}
	t.Fatal("no port is free")
	return ""
}

// TestNetwork forwards ports, into containers that have a network.
func TestNetwork(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		if d == podman { // its bridge is made by CNI plugins outside of it
			if _, err := os.Stat("/usr/lib/cni/bridge"); err != nil {
				t.Skip("podman: no CNI plugins: ", err)
			}
		}
		fixed := freePort(t)
		p := open(t, d, container.Options{Network: "default", Ports: []string{"8080", fixed + ":8081", "8082/udp"}})
		in := create(t, p, "suite-1")
		if net.ParseIP(in.Address) == nil {
			t.Errorf("the address is %q", in.Address)
		}
		conn := connect(t, p, "suite-1")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go conn.Run(
			ctx,
			&compute.Command{Args: []string{
				"sh", "-c", "mkdir /www; echo hello >/www/index.html; httpd -p 8080 -h /www; httpd -f -p 8081 -h /www",
			}},
		)
		at := in.Facts["port 8080/tcp"]
		if _, port, err := net.SplitHostPort(at); err != nil || port == "" || port == "0" {
			t.Fatalf("port 8080 is at %q: %v", at, in.Facts)
		}
		for _, at := range []string{net.JoinHostPort(in.Address, "8080"), at, fixed} {
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
				var body []byte
				var err error
				d.within(t, func() { body, err = get(at) })
				if err == nil && string(body) == "hello\n" {
					break
				}
				if time.Now().After(end) {
					t.Errorf("%s: body = %q, err = %v; want !time.Now().After(end)", at, body, err)
					break
				}
			}
		}
		if all, err := p.List(t.Context()); err != nil || len(all) != 1 || all[0].Address != in.Address && d == docker {
			t.Errorf("List: %v, %v", all, err)
		}
		_, err := p.Create(t.Context(), compute.Spec{ID: "suite-2"}) // the fixed port is taken
		want(t, "a port that is taken", err, compute.ErrNoCapacity, "ports")
		destroy(t, p, "suite-2")
		if _, err := p.Clean(t.Context(), "suite-1"); err != nil {
			t.Errorf("Clean with a fixed port: %v", err)
		}
		_, err = open(t, d, container.Options{Network: "none-of-this-name"}).Create(t.Context(), compute.Spec{ID: "suite-3"})
		want(t, "no such network", err, compute.ErrInvalid, "none-of-this-name")
		destroy(t, p, "suite-3")
	})
}

// TestNoEgress makes a container that may go nowhere: it has lo, and no address.
func TestNoEgress(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		p := open(t, d, container.Options{Network: "default", Egress: []string{"none"}})
		if in := create(t, p, "suite-1"); in.Address != "" {
			t.Errorf("the address is %q", in.Address)
		}
		for _, link := range strings.Fields(sh(t, connect(t, p, "suite-1"), "ls /sys/class/net")) {
			if strings.HasPrefix(link, "eth") || strings.HasPrefix(link, "veth") {
				t.Errorf("it has a link: %s", link)
			}
		}
		destroy(t, p, "suite-1")
	})
}

// get is an HTTP GET, on a connection of its own.
func get(at string) ([]byte, error) {
	conn, err := net.DialTimeout("tcp", at, 2*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(conn)
	_, body, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	return body, err
}

// variant makes an image of nothing, or of the tiny one, with settings of its own.
func (d *daemon) variant(t *testing.T, name, query string, empty bool) {
	t.Helper()
	var body io.Reader
	if empty {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		_ = w.WriteHeader(&tar.Header{Name: "file", Typeflag: tar.TypeReg, Mode: 0o644})
		w.Close()
		body = &b
	} else {
		f, err := os.Open(tiny)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		body = f
	}
	d.api(t, http.MethodPost, "/images/create?fromSrc=-&repo="+name+"&tag=latest"+query, body)
	t.Cleanup(func() { _, _ = d.request(http.MethodDelete, "/images/"+name+"?force=1", nil) })
}

// TestEmptyImage runs what hostler itself brings in an image that has nothing.
func TestEmptyImage(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		d.variant(t, "empty", "", true)
		p := open(t, d, container.Options{Image: "empty", Pull: "never"})
		create(t, p, "suite-1")
		conn := connect(t, p, "suite-1")
		var out bytes.Buffer
		if exit, err := conn.Run(
			t.Context(), &compute.Command{Args: []string{"/.hostler-agent", "version"}, Stdout: &out},
		); err != nil || exit.Code != 0 || out.Len() == 0 {
			t.Errorf(
				"exit = %+v, err = %v, out = %q"+
					"; want no error and exit.Code == 0 and out.Len() != 0",
				exit, err, out.String(),
			)
		}
		_, err := conn.Run(t.Context(), &compute.Command{Args: []string{"sh"}})
		want(t, "sh", err, compute.ErrNoCommand)
		if err := conn.Get(t.Context(), "/file", io.Discard); err != nil {
			t.Error(err)
		}
	})
}

// TestEntrypoint starts what the image itself is for.
func TestEntrypoint(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		d.variant(t, "service", "&changes="+url.QueryEscape(`CMD ["sh", "-c", "echo I am up; exec sleep 3984"]`), false)
		p := open(t, d, container.Options{Image: "service", Pull: "never", Entrypoint: true})
		create(t, p, "suite-1")
		sh(t, connect(t, p, "suite-1"), "until cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -q 'sleep 398[4]'; do :; done")
		if got, err := p.Console(t.Context(), "suite-1"); err != nil || got != "I am up\n" {
			t.Errorf("Console: %q, %v", got, err)
		}

		if d == docker { // podman imports no image with one
			d.variant(t, "sick", "&changes="+url.QueryEscape(`HEALTHCHECK --interval=1s CMD ["false"]`), false)
			in := create(t, open(t, d, container.Options{Image: "sick", Pull: "never"}), "suite-4")
			if b := d.api(t, http.MethodGet, "/containers/"+in.ProviderID+"/json", nil); bytes.Contains(b, []byte(`"Health":{`)) {
				t.Errorf("the image's health check runs without what it looks at: %s", b)
			}
		}

		d.variant(t, "hungry", "&changes="+url.QueryEscape(`CMD ["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"]`), false)
		p = open(t, d, container.Options{Image: "hungry", Pull: "never", Entrypoint: true, Memory: 48 << 20})
		hungry := create(t, p, "suite-2")
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			err := p.Check(t.Context(), "suite-2")
			// A busy docker hears of the container's end before that of its memory, and forgets the
			// latter.
			deaf := d == podman ||
				bytes.Contains(d.api(t, http.MethodGet, "/containers/"+hungry.ProviderID+"/json", nil), []byte(`"OOMKilled":false`))
			if err != nil &&
				(strings.Contains(err.Error(), "status 137, out of memory") || deaf && strings.Contains(err.Error(), "status 137")) {
				break
			}
			if time.Now().After(end) {
				t.Errorf("Check of what was ended for want of memory: %v", err)
				break
			}
		}
		if _, err := open(
			t, d, container.Options{Image: "tiny", Entrypoint: true},
		).Create(t.Context(), compute.Spec{ID: "suite-3"}); err == nil {
			t.Error("an image without entry point and command starts them")
		}
	})
}

// TestWrongArch takes an image for another kind of machine.
func TestWrongArch(t *testing.T) {
	both(t, wrongArch)
}

func wrongArch(t *testing.T, d *daemon) {
	other := map[string]string{"amd64": "arm64"}[runtime.GOARCH]
	if other == "" {
		other = "amd64"
	}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: other, Config: v1.Config{Cmd: []string{"x"}}})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := tarball.Write(name.MustParseReference("docker.io/library/foreign:latest"), img, &b); err != nil {
		t.Fatal(err)
	}
	d.api(t, http.MethodPost, "/images/load", &b)
	t.Cleanup(func() { _, _ = d.request(http.MethodDelete, "/images/foreign?force=1", nil) })
	p := open(t, d, container.Options{Image: "foreign", Pull: "never"})
	_, err = p.Create(t.Context(), compute.Spec{ID: "suite-1"})
	if err == nil || !strings.Contains(err.Error(), other) {
		t.Errorf("without a guest program for it: %v", err)
	}
	// A program of which the head says that it is for a machine that this one is not.
	finder(t)
	text, err := os.ReadFile(program.path)
	if err != nil {
		t.Fatal(err)
	}
	text[18] = 0xf7 // BPF: nobody's processor
	text[19] = 0
	wrong := filepath.Join(place, d.name+"-wrong-agent")
	if err := os.WriteFile(wrong, text, 0o755); err != nil {
		t.Fatal(err)
	}
	p = open(
		t, d,
		container.Options{
			Image: "foreign", Pull: "never",
			Agent: func(string) (agent.Program, error) { return agent.Program{Path: wrong}, nil },
		},
	)
	_, err = p.Create(t.Context(), compute.Spec{ID: "suite-1"})
	t.Cleanup(func() { destroy(t, p, "suite-1") })
	want(t, "with one that cannot run here", err, compute.ErrInvalid, "xec format error", "machine")
}

// TestNotMountable gives the engine a program's path that it does not see: the program is copied.
func TestNotMountable(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		finder(t)
		hidden := filepath.Join(place, d.name+"-hidden")
		find := func(string) (agent.Program, error) {
			// What only we can open: the descriptor of a file that has no name any more.
			return agent.Program{Path: hidden}, nil
		}
		b, err := os.ReadFile(program.path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.CreateTemp(place, "deleted-*")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Write(b); err != nil {
			t.Fatal(err)
		}
		os.Remove(f.Name())
		hidden = "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
		p := open(t, d, container.Options{Agent: find})
		create(t, p, "suite-1")
		sh(t, connect(t, p, "suite-1"), "true")
		if _, err := p.Clean(t.Context(), "suite-1"); err != nil {
			t.Fatal(err)
		}
		sh(t, connect(t, p, "suite-1"), "true")
	})
}
