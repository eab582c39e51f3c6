package forward

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// run forwards to an address in a process's own goroutine, and returns where it listens.
func run(t *testing.T, network, to string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	at, done := make(chan string, 1), make(chan error, 1)
	go func() {
		done <- Run(
			ctx,
			Options{Network: network, From: netip.MustParseAddrPort("127.0.0.1:0"), To: netip.MustParseAddrPort(to)},
			func(a net.Addr) { at <- a.String() },
		)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case a := <-at:
		return a
	case err := <-done:
		done <- nil
		t.Fatal(err)
	}
	return ""
}

// TestStreams joins both ways, and the end of one side's words is the other's.
func TestStreams(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				text, _ := io.ReadAll(c)
				_, _ = c.Write([]byte(strings.ToUpper(string(text))))
			}()
		}
	}()
	at := run(t, "tcp", l.Addr().String())
	for i := range 3 {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		long := strings.Repeat("x", 1<<20)
		fmt.Fprintf(c, "said %d %s", i, long)
		_ = c.(*net.TCPConn).CloseWrite()
		got, err := io.ReadAll(c)
		_ = c.Close()
		if want := fmt.Sprintf("SAID %d ", i) + strings.ToUpper(long); err != nil || string(got) != want {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
}

// TestNobodyThere closes the connection of who is led to nobody, and goes on.
func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := run(t, "tcp", l.Addr().String())
	_ = l.Close()
	for range 2 {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := io.Copy(io.Discard, c); n != 0 {
			t.Errorf("%d bytes of nobody", n)
		}
		_ = c.Close()
	}
}

// TestPackets brings each sender his own answers.
func TestPackets(t *testing.T) {
	far, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := far.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = far.WriteTo([]byte(strings.ToUpper(string(buf[:n]))), from)
		}
	}()
	at := run(t, "udp", far.LocalAddr().String())
	var all []net.Conn
	for range 3 {
		c, err := net.Dial("udp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		all = append(all, c)
	}
	for i, c := range all {
		want := fmt.Sprintf("PACKET %d", i)
		buf := make([]byte, 100)
		var got string
		// packets may be lost, also here
		for end := time.Now().Add(time.Minute); got != want && time.Now().Before(end); {
			_, _ = c.Write([]byte(strings.ToLower(want)))
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			n, _ := c.Read(buf)
			got = string(buf[:n])
		}
		if got != want {
			t.Errorf("sender %d has %q", i, got)
		}
	}
}

func TestParse(t *testing.T) {
	for _, args := range [][]string{{"tcp", "0.0.0.0:80", "[2001:db8::1]:8080"}, {"udp", "[::]:53", "10.0.0.1:53", "1000", "1001"}} {
		o, err := Parse(args)
		if err != nil || !slices.Equal(o.Args(), args) {
			t.Errorf("%q: o.Args() = %q, err = %v; want no error and o.Args() == args", args, o.Args(), err)
		}
	}
	for _, text := range []string{"", "tcp", "sctp 0.0.0.0:1 0.0.0.0:2", "tcp :80 0.0.0.0:2", "tcp 0.0.0.0:1 name:2",
		"tcp 0.0.0.0:1 0.0.0.0:70000", "tcp 0.0.0.0:1 0.0.0.0:2 0 5", "tcp 0.0.0.0:1 0.0.0.0:2 5",
		"tcp 0.0.0.0:1 0.0.0.0:2 -5 5"} {
		if o, err := Parse(strings.Fields(text)); err == nil {
			t.Errorf("%q: o = %+v; want an error", text, o)
		}
	}
}

// TestMain is also the forwarder that TestBecomes starts.
func TestMain(m *testing.M) {
	if text := os.Getenv("FORWARD"); text != "" {
		o, err := Parse(strings.Fields(text))
		if err == nil {
			err = Run(context.Background(), o, func(a net.Addr) { fmt.Println(a) })
		}
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestBecomes has a forwarder that root starts be somebody else when it has its port.
func TestBecomes(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "FORWARD=tcp 127.0.0.1:0 127.0.0.1:9 54323 54324")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "127.0.0.1:") {
		t.Fatalf(`line = %v, err = %v; want no error and strings.HasPrefix(line, "127.0.0.1:")`, line, err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nUid:\t54323\t54323\t54323\t54323\n", "\nGid:\t54324\t54324\t54324\t54324\n", "\nGroups:\t \n",
		"\nCapEff:\t0000000000000000\n",
	} {
		if !strings.Contains(string(status), want) {
			t.Errorf("no %q in %s", want, status)
		}
	}
}
