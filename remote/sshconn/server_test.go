package sshconn_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/remote/sshconn"
)

// extraServer starts one more sshd on host 2, with its own settings, until the end of the test, and
// returns a configuration for "extra".
func extraServer(t testing.TB, port int, settings string) string {
	t.Helper()
	kv := sshLab(t)
	root := kv["root2"]
	b, err := os.ReadFile(filepath.Join(root, "etc/ssh/sshd_config"))
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "MaxSessions") && !strings.HasPrefix(line, "Subsystem") {
			kept = append(kept, line)
		}
	}
	name := fmt.Sprintf("/etc/ssh/extra_%d", port)
	text := settings + strings.Join(kept, "") + fmt.Sprintf("PidFile /run/extra_%d.pid\nListenAddress %s:%d\n", port, kv["host2"], port)
	if err := os.WriteFile(root+name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	inside := func(script string) (string, error) {
		return command("nsenter", "-t", kv["pid2"], "-m", "-p", "-u", "-r", "-w", "--", "sh", "-c", script)
	}
	if out, err := inside("/usr/sbin/sshd -f " + name); err != nil {
		t.Fatalf("sshd: %v: %s", err, out)
	}
	t.Cleanup(func() { _, _ = inside(fmt.Sprintf("kill $(cat /run/extra_%d.pid)", port)) })
	for late := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", net.JoinHostPort(kv["host2"], fmt.Sprint(port)))
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(late) {
			t.Fatal(err)
		}
	}
	return sshConfig(
		t, kv,
		fmt.Sprintf(
			"Host extra\n HostName LAB2\n Port %d\n User root\n IdentityFile KEY\n HostKeyAlias lab2\n UserKnownHostsFile KNOWN\n",
			port,
		),
	)
}

const sftpLine = "Subsystem sftp /usr/lib/openssh/sftp-server\n"

// atOnce runs n commands at the same time, each of which lasts a little.
func atOnce(t *testing.T, conn compute.Conn, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			var out bytes.Buffer
			exit, err := conn.Run(ctx, &compute.Command{Args: []string{"sh", "-c", fmt.Sprintf("sleep 0.3; echo %d", i)}, Stdout: &out})
			if err != nil || exit.Status() != 0 || out.String() != fmt.Sprintf("%d\n", i) {
				t.Errorf("command %d: %+v, %v, %q", i, exit, err, out.String())
			}
		})
	}
	wg.Wait()
}

func TestSSHMaxSessions(t *testing.T) {
	for max, links := range map[int]int{10: 8, 10_0: 8, 2: 8, 1: 1} {
		t.Run(fmt.Sprint(max), func(t *testing.T) {
			config := extraServer(t, 3000+max, fmt.Sprintf("MaxSessions %d\n", max)+sftpLine)
			conn := dialSSH(t, sshconn.Options{Host: "extra", ConfigFile: config, MaxLinks: links})
			n := 64
			if max == 1 {
				n = 8
			}
			atOnce(t, conn, n)
			atOnce(t, conn, n)
		})
	}
}

func TestSSHOutOfSessions(t *testing.T) {
	config := extraServer(t, 3201, "MaxSessions 2\n"+sftpLine)
	conn := dialSSH(t, sshconn.Options{Host: "extra", ConfigFile: config, MaxLinks: 1, MaxWait: time.Second})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	first := running(t, ctx, conn, "sleep 300")
	var ends []func(time.Duration) error
	for i := 0; i < 2; i++ {
		var out bytes.Buffer
		_, err := conn.Run(context.Background(), &compute.Command{Args: []string{"echo", "x"}, Stdout: &out})
		if err != nil && (!errors.Is(err, compute.ErrUnavailable) || !strings.Contains(compute.Hint(err), "MaxSessions")) {
			t.Fatalf("got %v (%s), want ErrUnavailable and a hint", err, compute.Hint(err))
		}
		if err == nil && i == 1 {
			ends = append(ends, running(t, ctx, conn, "sleep 300"))
			if _, err := conn.Run(context.Background(), &compute.Command{Args: []string{"true"}}); !errors.Is(err, compute.ErrUnavailable) {
				t.Errorf("a third session: %v, want ErrUnavailable", err)
			}
		}
	}
	none := dialSSH(t, sshconn.Options{Host: "extra", ConfigFile: extraServer(t, 3200, "MaxSessions 0\n"), MaxWait: time.Second})
	if _, err := none.Run(context.Background(), &compute.Command{Args: []string{"true"}}); !errors.Is(err, compute.ErrUnavailable) {
		t.Errorf("a host that gives no session: %v, want ErrUnavailable", err)
	}
	cancel()
	for _, end := range append(ends, first) {
		if err := end(15 * time.Second); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
	}
}

// Without SFTP the whole suite still holds, but that a stream's holes come as zeros. Keys are made
// anew every few megabytes, in the middle of its streams.
func TestConnSSHNoSFTP(t *testing.T) {
	config := extraServer(t, 3202, "MaxSessions 10\nRekeyLimit 8M\n")
	computetest.Conn(t, computetest.ConnOptions{
		New: func(t *testing.T) compute.Conn {
			return dialSSH(t, sshconn.Options{Host: "extra", ConfigFile: config})
		},
		Dir: "/tmp", Shell: true, Marked: true,
		Skip: map[string]string{"Sparse": "cat makes no holes"},
	})
}

// Without SFTP owners are given too, and then setuid stays.
func TestSSHNoSFTPOwner(t *testing.T) {
	conn := dialSSH(t, sshconn.Options{Host: "extra", ConfigFile: extraServer(t, 3204, "MaxSessions 10\n"), Owner: true})
	dir := strings.TrimSpace(says(t, conn, "mktemp", "-d"))
	var in bytes.Buffer
	tw := tar.NewWriter(&in)
	_ = tw.WriteHeader(&tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o3755, Uid: 1234, Gid: 5678})
	_ = tw.WriteHeader(&tar.Header{Name: "d/f", Mode: 0o6711, Uid: 1234, Gid: 5678})
	_ = tw.Close()
	if err := conn.Put(t.Context(), dir, &in); err != nil {
		t.Fatal(err)
	}
	if got := says(t, conn, "stat", "-c", "%u:%g %a", dir+"/d", dir+"/d/f"); got != "1234:5678 3755\n1234:5678 6711\n" {
		t.Errorf("got %q", got)
	}
	says(t, conn, "rm", "-r", dir)
}

// Without tar a tree is read over SFTP; without both the error says so.
func TestSSHGetWithoutTar(t *testing.T) {
	kv := sshLab(t)
	program := filepath.Join(kv["root2"], "usr/bin/tar")
	if err := os.Rename(program, program+".away"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Rename(program+".away", program) })
	conn := dialSSH(t, sshconn.Options{Host: "lab2", ConfigFile: kv["ssh_config"]})
	dir := strings.TrimSpace(says(t, conn, "mktemp", "-d"))
	big := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	var in, out bytes.Buffer
	tw := tar.NewWriter(&in)
	for _, h := range []*tar.Header{
		{Name: "t/", Typeflag: tar.TypeDir, Mode: 0o750}, {Name: "t/big", Mode: 0o640, Size: int64(len(big))},
		{Name: "t/l", Typeflag: tar.TypeSymlink, Linkname: "big"},
	} {
		h.ModTime = time.Unix(1_000_000_000, 0)
		_ = tw.WriteHeader(h)
		if h.Size > 0 {
			_, _ = tw.Write(big)
		}
	}
	_ = tw.Close()
	if err := conn.Put(t.Context(), dir, &in); err != nil {
		t.Fatal(err)
	}
	if err := conn.Get(t.Context(), dir+"/t", &out); err != nil {
		t.Fatal(err)
	}
	got := map[string]*tar.Header{}
	for tr := tar.NewReader(&out); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = h
		if h.Name == "t/big" {
			if b, err := io.ReadAll(tr); err != nil || !bytes.Equal(b, big) {
				t.Errorf("the file came back as %d other bytes, %v", len(b), err)
			}
		}
	}
	if len(got) != 3 || got["t/"].Mode != 0o750 || got["t/big"].Mode != 0o640 || got["t/l"].Linkname != "big" ||
		got["t/big"].ModTime.Unix() != 1_000_000_000 {
		t.Errorf("the tree came back as %v", got)
	}
	if err := conn.Get(t.Context(), dir+"/no", io.Discard); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	bare := dialSSH(t, sshconn.Options{Host: "extra", ConfigFile: extraServer(t, 3203, "")})
	if err := bare.Get(t.Context(), dir+"/t", io.Discard); !errors.Is(err, compute.ErrFailed) || compute.Hint(err) == "" {
		t.Errorf("got %v (%s), want one that says what is missing", err, compute.Hint(err))
	}
	says(t, conn, "rm", "-r", dir)
}

func TestSSHUsers(t *testing.T) {
	kv := sshLab(t)
	for _, c := range []struct{ login, as, want string }{
		{"root", "user", "user:/home/user:it's $HOME"}, {"user", "root", "root:/root:it's $HOME"},
		{"user", "user", "user:/home/user:it's $HOME"},
		{"root", "1000", "user:/home/user:it's $HOME"},
	} {
		conn := dialSSH(t, sshconn.Options{Host: "lab1", User: c.login, ConfigFile: kv["ssh_config"]})
		var out bytes.Buffer
		exit, err := conn.Run(t.Context(), &compute.Command{
			Args: []string{"sh", "-c", `printf "%s:%s:%s" "$(id -un)" "$HOME" "$WORD"`}, User: c.as,
			Env: map[string]string{"WORD": "it's $HOME"}, Stdout: &out,
		})
		if err != nil || exit.Status() != 0 || out.String() != c.want {
			t.Errorf("%s as %s: %q, %+v, %v", c.login, c.as, out.String(), exit, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		pr, pw := io.Pipe()
		done := make(chan error, 1)
		go func() {
			_, err := conn.Run(ctx, &compute.Command{Args: []string{"sh", "-c", "echo $$; sleep 301; :"}, User: c.as, Stdout: pw})
			pw.Close()
			done <- err
		}()
		var pid int
		if _, err := fmt.Fscan(pr, &pid); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := bounded(t, 15*time.Second, func() error { return <-done }); !errors.Is(err, context.Canceled) {
			t.Errorf("%s as %s: cancelled: %v", c.login, c.as, err)
		}
		// One that has ended and is not reaped yet counts as gone.
		if left := says(t, conn, "sh", "-c", fmt.Sprintf("ps -o pid=,stat=,user=,args= -p %d | grep -v ' Z'; :", pid)); left != "" {
			t.Errorf("%s as %s: it lives: %s", c.login, c.as, left)
		}
	}
	conn := dialSSH(t, sshconn.Options{Host: "lab1", ConfigFile: kv["ssh_config"]})
	if _, err := conn.Run(
		t.Context(), &compute.Command{Args: []string{"true"}, User: "nobody-of-this-name"},
	); !errors.Is(err, compute.ErrCannotStart) {
		t.Errorf("an unknown user: %v, want ErrCannotStart", err)
	}
}

// What is secret must not stand in the host's list of processes, whose arguments everybody may
// read.
func TestSSHSecretsNotInArguments(t *testing.T) {
	kv := sshLab(t)
	conn := dialSSH(t, sshconn.Options{Host: "lab1", ConfigFile: kv["ssh_config"]})
	for _, tty := range []*compute.Size{nil, {Rows: 24, Cols: 80}} {
		var out bytes.Buffer
		exit, err := conn.Run(t.Context(), &compute.Command{
			Args: []string{
				"sh", "-c",
				`cat /proc/[0-9]*/cmdline | tr "\000" " "; [ "$TOKEN" = "$(printf "s3%st\nline\003\377" cr3)" ] && echo "it came"`,
			},
			Env: map[string]string{"TOKEN": "s3cr3t\nline\x03\xff"}, Stdout: &out, TTY: tty,
		})
		if err != nil || exit.Status() != 0 || !strings.Contains(out.String(), "it came") {
			t.Errorf("the variable did not arrive: %+v, %v", exit, err)
		}
		if strings.Contains(out.String(), "s3cr3t") {
			t.Errorf("it stands in the list of processes: %q", out.String())
		}
	}
}

func BenchmarkSSH(b *testing.B) {
	kv := sshLab(b)
	const n = 200
	conn := dialSSH(b, sshconn.Options{Host: "lab1", ConfigFile: kv["ssh_config"]})
	var kept, fresh time.Duration
	for b.Loop() {
		start := time.Now()
		for range n {
			if exit, err := conn.Run(b.Context(), &compute.Command{Args: []string{"true"}}); err != nil || exit.Code != 0 {
				b.Fatalf("exit = %v, err = %v; want no error and exit.Code == 0", exit, err)
			}
		}
		kept += time.Since(start)
		start = time.Now()
		for range n {
			if out, err := command("ssh", "-F", kv["ssh_config"], "lab1", "true"); err != nil {
				b.Fatalf("out = %s, err = %v; want no error", out, err)
			}
		}
		fresh += time.Since(start)
	}
	b.ReportMetric(float64(fresh)/float64(kept), "x-ssh")
	b.ReportMetric(float64(kept.Microseconds())/float64(n*b.N), "µs/command")
}
