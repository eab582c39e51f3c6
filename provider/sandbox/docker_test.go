//go:build linux

package sandbox_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/sandbox"
)

// BenchmarkDocker measures the whole life of a sandbox beside `docker run`, on the same root,
// without a network both, in turn.
func BenchmarkDocker(b *testing.B) {
	kv, err := computetest.Lab{Set: "sandbox", Net: 62}.Try("base-rootfs", "tiny")
	if err != nil {
		b.Skip("docker: ", err)
	}
	docker := dockerd(b)
	if out, err := docker("import", kv["tarball"], "tiny").CombinedOutput(); err != nil {
		b.Fatalf("import: %v: %s", err, out)
	}
	peer := &timed{name: "docker run", run: func() error {
		out, err := docker("run", "--rm", "--network", "none", "tiny", "/bin/true").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	}}
	ours := cold(b, "cold, the same root", sandbox.Options{}, kv["rootfs"], false)
	ahead := cold(b, "cold, the same root, the process started ahead", sandbox.Options{}, kv["rootfs"], true)
	b.ResetTimer()
	inTurn(b, 15, peer, ours, ahead)
	fmt.Println()
	for _, t := range []*timed{peer, ours, ahead} {
		fmt.Printf("median: %-40s %6.2f ms\n", t.name, ms(t.median()))
	}
	row(b, "docker run / cold life, the same root", ratio(peer, ours), "x", ">= 50")
	row(b, "docker run / cold life with a process ahead, as hostler serve has", ratio(peer, ahead), "x", "")
}

// dockerd starts Docker's own daemon, with all that it keeps in a directory of its own, and in a
// network of its own, and returns what makes commands that ask it. Where there is none it skips.
func dockerd(b *testing.B) func(words ...string) *exec.Cmd {
	b.Helper()
	if os.Geteuid() != 0 {
		b.Skip("docker: only root starts it")
	}
	for _, program := range []string{"dockerd", "docker", "ip", "unshare"} {
		if _, err := exec.LookPath(program); err != nil {
			b.Skip("docker: ", err)
		}
	}
	// not in memory, where overlays cannot be of all kernels
	dir, err := os.MkdirTemp("/var/tmp", "hostler-sandbox-*")
	if err != nil {
		b.Fatal(err)
	}
	socket, group := filepath.Join(dir, "socket"), "hostler-sandbox-"+strconv.Itoa(os.Getpid())
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	// It is asked to end when the pipe closes, also by the death of this process.
	const script = `ip link set lo up; dockerd --data-root "$1/data" --exec-root "$1/run" -p "$1/pid" -H "unix://$2" ` +
		`--cgroup-parent "$3" ` +
		`--bip 10.213.8.1/24 --registry-mirror http://127.0.0.1:1 </dev/null & cat >/dev/null; kill $!; wait $!`
	cmd := exec.Command("unshare", "--net", "--", "sh", "-c", script, "sh", dir, socket, group)
	cmd.Stdout, cmd.Stderr = log, log
	end, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = end.Close()
		stuck := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
		_ = cmd.Wait()
		if !stuck.Stop() {
			b.Error("dockerd does not end")
		}
		dirs, _ := filepath.Glob("/sys/fs/cgroup/*/" + group)
		for _, d := range dirs {
			_ = os.Remove(d)
		}
		if err := os.RemoveAll(dir); err != nil {
			b.Error(err)
		}
	})
	docker := func(words ...string) *exec.Cmd {
		c := exec.Command("docker", append([]string{"-H", "unix://" + socket}, words...)...)
		c.Env = append(os.Environ(), "DOCKER_CONFIG="+dir)
		return c
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		out, err := docker("version").CombinedOutput()
		if err == nil {
			return docker
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || time.Now().After(until) {
			text, _ := os.ReadFile(log.Name())
			b.Skipf("docker: it does not answer: %v: %s %s", err, out, text[max(0, len(text)-1000):])
		}
	}
}
