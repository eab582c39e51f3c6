package agentcmd_test

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/remote/agent"
	"github.com/hostler-project/hostler/remote/sshconn"
)

// overSession runs the agent as a command of another connection, and returns its standard streams
// as one.
func overSession(t *testing.T, c compute.Conn, args ...string) io.ReadWriteCloser {
	t.Helper()
	in, inW := io.Pipe()
	outR, out := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		exit, err := c.Run(context.Background(), &compute.Command{Args: args, Stdin: in, Stdout: out, Stderr: os.Stderr})
		if err != nil || exit != (compute.Exit{}) {
			t.Errorf("the agent: %v %v", exit, err)
		}
		_, _ = in.Close(), out.Close()
	}()
	t.Cleanup(func() {
		_, _ = inW.Close(), outR.Close()
		<-ended
	})
	return session{outR, inW}
}

type session struct {
	*io.PipeReader
	in *io.PipeWriter
}

func (s session) Write(b []byte) (int, error) { return s.in.Write(b) }

func (s session) Close() error {
	_ = s.in.Close() // the agent's end; what it still says is read by nobody
	return s.PipeReader.Close()
}

// The suite over the standard streams of an ssh session, with the program put there as a file.
func TestConnOverSSH(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("ssh-hosts: the lab needs root")
	}
	lab := computetest.Lab{Set: "guest-ssh", Net: 67}
	kv := lab.Run(t, "ssh-hosts", "up", "2")
	t.Cleanup(func() { _, _ = lab.Try("ssh-hosts", "down") })
	t.Setenv("SSH_AUTH_SOCK", "")
	name := filepath.Join(t.TempDir(), "hostler-agent")
	build := exec.Command("go", "build", "-o", name, "../../cmd/hostler-agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: out = %s; want no error", err, out)
	}
	program, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ssh, err := sshconn.Dial(ctx, sshconn.Options{Host: "lab1", ConfigFile: kv["ssh_config"]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ssh.Close() })
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{
		Name: "hostler-agent", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(program)), ModTime: time.Now(),
	})
	_, _ = w.Write(program)
	_ = w.Close()
	if err := ssh.Put(ctx, "/tmp/agent", &b); err != nil {
		t.Fatal(err)
	}
	// what ssh itself keeps running is there from now on
	if _, err := ssh.Run(ctx, &compute.Command{Args: []string{"sleep", "0.5"}}); err != nil {
		t.Fatal(err)
	}
	t.Run("suite", func(t *testing.T) {
		computetest.Conn(t, computetest.ConnOptions{Dir: "/tmp", Shell: true, New: func(t *testing.T) compute.Conn {
			return agent.New(overSession(t, ssh, "/tmp/agent/hostler-agent", "serve", "stdio"))
		}})
	})
}
