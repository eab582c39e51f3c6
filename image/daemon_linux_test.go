package image_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/image"
)

// startDocker starts a docker daemon with all that it keeps in a directory and a network of its
// own, and returns its socket.
func startDocker(t *testing.T) (socket string, client *http.Client) {
	t.Helper()
	no := func(why string) {
		if os.Getenv("HOSTLER_REQUIRE_LAB") != "" {
			t.Fatalf("docker is required: %s", why)
		}
		t.Skipf("docker: %s", why)
	}
	if os.Geteuid() != 0 {
		no("only root starts it")
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		no(err.Error())
	}
	dir, err := os.MkdirTemp("/var/tmp", "hostler-image-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket = dir + "/docker.sock"
	cmd := exec.Command("unshare", "--net", "--mount", "--", "dockerd", "--data-root", dir+"/data", "--exec-root", dir+"/run", "-p", dir+"/pid",
		"-H", "unix://"+socket, "--bridge", "none", "--iptables=false", "--ip6tables=false")
	log, err := os.Create(dir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	client = &http.Client{Transport: transport}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if resp, err := client.Get("http://docker/_ping"); err == nil {
			_ = resp.Body.Close()
			return socket, client
		}
		if syscall.Kill(cmd.Process.Pid, 0) != nil || time.Now().After(end) {
			b, _ := os.ReadFile(log.Name())
			no("it does not answer: " + string(b[max(0, len(b)-500):]))
		}
	}
}

// TestRealDaemon takes images out of a real docker daemon.
func TestRealDaemon(t *testing.T) {
	tiny := computetest.Lab{Set: "image", Net: 66}.Run(t, "base-rootfs", "tiny")
	socket, client := startDocker(t)
	load := func(path, file string) {
		t.Helper()
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		resp, err := client.Post("http://docker"+path, "application/x-tar", f)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || strings.Contains(string(b), "rror") {
			t.Fatalf(`%s: b = %s; want resp.StatusCode == http.StatusOK and string(b) without "rror"`, resp.Status, b)
		}
	}
	load("/images/create?fromSrc=-&repo=tiny&tag=v1", tiny["tarball"])
	archive := filepath.Join(t.TempDir(), "two.tar")
	plainDockerArchive(t, archive, two(t))
	load("/images/load", archive)
	s := open(t, image.Options{DockerSocket: socket})
	img, err := s.Pull(t.Context(), "docker-daemon:tiny:v1", image.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := tree(t, tiny["rootfs"], "")
	got := tree(t, img.Dirs()[0], "")
	if got = strings.ReplaceAll(got, img.Dirs()[0], tiny["rootfs"]); got != want {
		t.Errorf("the lab's root has\n%.2000s\nand its image\n%.2000s", want, got)
	}
	img, err = s.Pull(t.Context(), "docker-daemon:two:v1", image.PullOptions{})
	if config, _ := two(t).ConfigName(); err != nil || img.Digest != config.String() || read(t, img, "etc/a") != "ONE" {
		t.Errorf(
			"img = %+v err = %v"+
				`; want no error and img.Digest == config.String() and read(t, img, "etc/a") == "ONE"`,
			img, err,
		)
	}
	_, err = s.Pull(t.Context(), "docker-daemon:none", image.PullOptions{})
	if !errors.Is(err, compute.ErrNotFound) || !strings.Contains(err.Error(), "No such image") {
		t.Errorf(`err = %v; want error compute.ErrNotFound and err.Error() with "No such image"`, err)
	}
	s = openIn(t, s.Dir(), image.Options{DockerSocket: socket + "-none"})
	if _, err := s.Pull(t.Context(), "docker-daemon:tiny:v1", image.PullOptions{}); !errors.Is(err, compute.ErrUnavailable) ||
		compute.Hint(err) == "" {
		t.Errorf(`err = %v; want error compute.ErrUnavailable and compute.Hint(err) != ""`, err)
	}
}

// TestLabImage makes an image of the lab's root, by way of a registry, and runs its shell over the
// unpacked layers.
func TestLabImage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("lab image: only root may chroot")
	}
	tiny := computetest.Lab{Set: "image", Net: 66}.Run(t, "base-rootfs", "tiny")
	w, s := serve(t), open(t)
	img, err := s.Pull(t.Context(), w.push(t, "tiny", imageOf(t, "", layerOf(t, split(t, tiny["tarball"], 1)[0]))), image.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", "echo inside; ls /etc/passwd")
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: img.Dirs()[0]}
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "inside\n/etc/passwd\n" {
		t.Errorf("out = %q err = %v; want no error and string(out) == \"inside\\n/etc/passwd\\n\"", out, err)
	}
	if u, err := image.LookupUser(img.Dirs(), "user"); err != nil || u.UID != 1000 {
		t.Errorf("u = %+v err = %v; want no error and u.UID == 1000", u, err)
	}
}
