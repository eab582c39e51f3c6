package sshconn_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/sshconn"
)

// bounded fails the test when f needs longer than a user should have to wait.
func bounded(t *testing.T, limit time.Duration, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		t.Fatalf("nothing came within %v", limit)
		return nil
	}
}

func TestSSHDialFaults(t *testing.T) {
	kv := sshLab(t)
	for _, c := range []struct {
		fault string
		kind  error
		text  string
		hint  string
	}{
		{"hang", compute.ErrTimeout, "does not answer as an ssh server does within 2s", ""},
		{"refuse", compute.ErrUnavailable, "connection refused", ""},
		{"drop", compute.ErrTimeout, "cannot be reached within 2s", ""},
		{"off", compute.ErrUnavailable, "connection refused", ""},
		{"newkey", compute.ErrDenied, "has changed", "remove line 1 of " + kv["known_hosts"]},
		{"deny", compute.ErrDenied, "refuses to let root in", "Try ssh lab1"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			fault(t, 1, c.fault)
			dial := func() error {
				return bounded(t, 20*time.Second, func() error {
					conn, err := sshconn.Dial(
						context.Background(),
						sshconn.Options{Host: "lab1", ConfigFile: kv["ssh_config"], Timeout: 2 * time.Second},
					)
					if err == nil {
						conn.Close()
					}
					return err
				})
			}
			err := dial()
			// a server that was killed a moment ago
			for n := 0; n < 50 && err != nil && strings.Contains(err.Error(), "closed the connection before"); n++ {
				time.Sleep(20 * time.Millisecond)
				err = dial()
			}
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) || !strings.Contains(compute.Hint(err), c.hint) {
				t.Errorf("got %v (%s), want kind %v, %q, hint %q", err, compute.Hint(err), c.kind, c.text, c.hint)
			}
			heal(t, 1)
			dialSSH(t, sshconn.Options{Host: "lab1", ConfigFile: kv["ssh_config"]})
		})
	}
}

func TestSSHDialCancelled(t *testing.T) {
	kv := sshLab(t)
	fault(t, 1, "hang")
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	err := bounded(t, 10*time.Second, func() error {
		_, err := sshconn.Dial(ctx, sshconn.Options{Host: "lab1", ConfigFile: kv["ssh_config"]})
		return err
	})
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, compute.ErrTimeout) {
		t.Errorf("got %v, want the context's own error", err)
	}
}

// running starts a command that runs until it is ended, and waits until it runs.
func running(t *testing.T, ctx context.Context, conn *sshconn.Conn, script string) (end func(limit time.Duration) error) {
	t.Helper()
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := conn.Run(ctx, &compute.Command{Args: []string{"sh", "-c", "echo ready; " + script}, Stdout: pw})
		pw.Close()
		done <- err
	}()
	buf := make([]byte, 6)
	if _, err := io.ReadFull(pr, buf); err != nil {
		t.Fatal("the command did not start")
	}
	go io.Copy(io.Discard, pr)
	return func(limit time.Duration) error {
		return bounded(t, limit, func() error { return <-done })
	}
}

func TestSSHLost(t *testing.T) {
	kv := sshLab(t)
	for _, kind := range []string{"hang", "drop", "off", "cut"} {
		t.Run(kind, func(t *testing.T) {
			conn := dialSSH(
				t,
				sshconn.Options{Host: "lab1", ConfigFile: kv["ssh_config"], KeepAlive: time.Second, Timeout: 10 * time.Second},
			)
			end := running(t, context.Background(), conn, "sleep 300")
			fault(t, 1, kind)
			if err := end(60 * time.Second); !errors.Is(err, compute.ErrLost) {
				t.Errorf("got %v, want ErrLost", err)
			}
			if err := bounded(
				t, 30*time.Second, func() error { return conn.Healthy(context.Background()) },
			); !errors.Is(err, compute.ErrLost) {
				t.Errorf("Healthy: got %v, want ErrLost", err)
			}
			heal(t, 1)
			exit, err := conn.Run(context.Background(), &compute.Command{Args: []string{"true"}})
			if err != nil || exit != (compute.Exit{}) {
				t.Errorf("the next command: %+v, %v", exit, err)
			}
			if err := conn.Healthy(context.Background()); err != nil {
				t.Errorf("Healthy after that: %v", err)
			}
		})
	}
}

// A cancelled command on a link that hangs is given up in seconds, though the keep-alive would take
// longer.
func TestSSHCancelHung(t *testing.T) {
	kv := sshLab(t)
	conn := dialSSH(t, sshconn.Options{Host: "lab1", ConfigFile: kv["ssh_config"], KeepAlive: time.Minute})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	end := running(t, ctx, conn, "sleep 300")
	fault(t, 1, "hang")
	cancel()
	if err := end(15 * time.Second); !errors.Is(err, compute.ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
}

// What runs when the connection is cut ends there too.
func TestSSHCutKills(t *testing.T) {
	kv := sshLab(t)
	conn := dialSSH(t, sshconn.Options{Host: "lab1", ConfigFile: kv["ssh_config"]})
	signals := make(chan string, 1)
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := conn.Run(context.Background(), &compute.Command{
			Args: []string{"sh", "-c", `trap "echo told" USR1; echo ready; ` + beating}, Stdout: pw, Signals: signals,
		})
		pw.Close()
		done <- err
	}()
	lines := bufio.NewReader(pr)
	if s, err := lines.ReadString('\n'); s != "ready\n" {
		t.Fatalf("the command said %q, %v", s, err)
	}
	signals <- "USR1" // the watching session sends it, so it knows of the command when that has it
	if s, err := lines.ReadString('\n'); s != "told\n" {
		t.Fatalf("the command said %q, %v", s, err)
	}
	go io.Copy(io.Discard, lines)
	end := func(limit time.Duration) error {
		return bounded(t, limit, func() error { return <-done })
	}
	fault(t, 1, "cut")
	if err := end(60 * time.Second); !errors.Is(err, compute.ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
	beatsEnd(t, filepath.Join(kv["root1"], "tmp/beat"))
}

// beating refuses to end politely, and writes to a file as long as it lives.
const beating = `trap "" TERM; while :; do echo x >>/tmp/beat; sleep 0.1; done`

// beatsEnd fails the test unless nothing is written to the file any more, soon, after something
// was.
func beatsEnd(t *testing.T, file string) {
	t.Helper()
	t.Cleanup(func() { os.Remove(file) })
	for late := time.Now().Add(20 * time.Second); ; {
		before, err := os.Stat(file)
		if err != nil || before.Size() == 0 {
			t.Fatalf("the command wrote nothing: %v", err)
		}
		time.Sleep(time.Second) // a command that lived on would write meanwhile
		if after, err := os.Stat(file); err == nil && after.Size() == before.Size() {
			return
		}
		if time.Now().After(late) {
			t.Fatal("the command still runs on the host")
		}
	}
}

// When our own process is killed, what it runs on a host ends, though sshd by itself ends nothing.
func TestSSHDyingKills(t *testing.T) {
	if config := os.Getenv("HOSTLER_TEST_DYING"); config != "" { // we are the process that dies
		conn := dialSSH(t, sshconn.Options{Host: "lab1", ConfigFile: config})
		_, _ = conn.Run(t.Context(), &compute.Command{Args: []string{"sh", "-c", beating}})
		return
	}
	kv := sshLab(t)
	helper := exec.Command(os.Args[0], "-test.run=^TestSSHDyingKills$")
	helper.Env = append(os.Environ(), "HOSTLER_TEST_DYING="+kv["ssh_config"])
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(kv["root1"], "tmp/beat")
	for late := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if fi, err := os.Stat(file); err == nil && fi.Size() > 20 {
			break
		}
		if time.Now().After(late) {
			t.Error("the command did not start")
			break
		}
	}
	_ = helper.Process.Kill()
	_ = helper.Wait()
	beatsEnd(t, file)
}

func TestSSHLossyCopy(t *testing.T) {
	kv := sshLab(t)
	conn := dialSSH(t, sshconn.Options{Host: "lab1", ConfigFile: kv["ssh_config"]})
	fault(t, 1, "loss=20")
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	var stream bytes.Buffer
	tw := tar.NewWriter(&stream)
	_ = tw.WriteHeader(&tar.Header{Name: "lossy", Mode: 0o644, Size: int64(len(data))})
	_, _ = tw.Write(data)
	_ = tw.Close()
	err := bounded(t, 3*time.Minute, func() error { return conn.Put(context.Background(), "/tmp", &stream) })
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(kv["root1"], "tmp", "lossy"))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("the file came as %d other bytes, %v", len(got), err)
	}
}

func TestSSHDelay(t *testing.T) {
	kv := sshLab(t)
	slow := fault(t, 1, "delay=100")
	config := sshConfig(t, kv, fmt.Sprintf("Host slow\n HostName %s\n Port %s\n User root\n IdentityFile KEY\n "+
		"HostKeyAlias lab1\n UserKnownHostsFile KNOWN\n",
		slow["slow_host1"], slow["slow_port1"]))
	conn := dialSSH(t, sshconn.Options{Host: "slow", ConfigFile: config})
	var out bytes.Buffer
	exit, err := conn.Run(
		context.Background(),
		&compute.Command{Args: []string{"cat"}, Stdin: strings.NewReader("over the hills"), Stdout: &out},
	)
	if err != nil || exit.Code != 0 || out.String() != "over the hills" {
		t.Errorf("got %+v, %v, %q", exit, err, out.String())
	}
}
