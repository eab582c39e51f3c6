package agent_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

// line is the host's end of a device: clients come and go, it stays.
type line struct{ net.Conn }

func (l line) Close() error {
	_ = l.SetReadDeadline(time.Now()) // wakes the reader that goes
	time.Sleep(20 * time.Millisecond)
	return l.SetReadDeadline(time.Time{})
}

// onLine serves a device whose other end it returns.
func onLine(t *testing.T) line {
	t.Helper()
	leaks(t)
	a, b := pair(t)
	p := agent.NewPort(b)
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := p.Accept()
			if err != nil {
				return
			}
			_ = agent.Serve(context.Background(), c, limited{newFake()}, agent.Options{})
		}
	}()
	t.Cleanup(func() { _, _ = a.Close(), p.Close(); <-served })
	return line{a}
}

// echoes has a client send a text through a command and back.
func echoes(t *testing.T, c *agent.Client, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), tooLong)
	defer cancel()
	var out bytes.Buffer
	exit, err := c.Run(ctx, &compute.Command{Args: []string{"a"}, Stdin: strings.NewReader(text), Stdout: &out})
	if err != nil || exit.Code != 1 || out.String() != text {
		t.Fatalf("%d bytes came back of %d: %v %v", out.Len(), len(text), exit, err)
	}
}

// Whatever a client leaves on the line, the next begins anew, and gets nothing of it.
func TestPortBeginsAnew(t *testing.T) {
	// all that has a meaning on the line, as data
	hard := strings.Repeat("\xd3", 70<<10) + "\xd3b0123456789abcdef\xd3e\xd3x"
	for name, left := range map[string]string{
		"nothing":        "",
		"half a hello":   "HsA",
		"half a frame":   greeting + frame(1, 0, 1, "\x01\x07\x01\x04true\x00\x00\x00") + "\x02\x00\xff\x00\x00\x00\x00\x01and then",
		"half an escape": "\xd3",
		"half a begin":   "\xd3b0123",
		"a begin":        "\xd3b0123456789abcdef",
		"and half": "\xd3b0123456789abcdef" + greeting + frame(
			1, 0, 1, "\x01\x07\x01\x04true\x00\x00\x00",
		) + "\x02\x00\xff\x00\x00\x00\x00\x01\xd3",
		"noise": strings.Repeat("login: ", 10000),
	} {
		t.Run(name, func(t *testing.T) {
			l := onLine(t)
			if _, err := io.WriteString(l, left); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				c := agent.New(agent.Attach(l))
				echoes(t, c, hard)
				_ = c.Close()
			}
			// goes without a word, in the middle of a command whose output stays on the line
			dead := agent.New(agent.Attach(l))
			stdin, never := io.Pipe()
			go func() {
				_, _ = dead.Run(t.Context(), &compute.Command{Args: []string{"a"}, Stdin: stdin, Stdout: io.Discard})
			}()
			_, _ = io.WriteString(never, "what nobody reads")
			time.Sleep(20 * time.Millisecond)
			_ = l.Close()
			c := agent.New(agent.Attach(l))
			echoes(t, c, hard)
			_, _ = c.Close(), never.Close()
			_ = dead.Close()
		})
	}
}

// A client that knows nothing of lines is served as well.
func TestPortPlain(t *testing.T) {
	l := onLine(t)
	c := agent.New(l.Conn)
	echoes(t, c, "\xd3b and more")
	_ = c.Close()
}

func FuzzPort(f *testing.F) {
	f.Add("\xd3b0123456789abcdefabc\xd3xdef\xd3e\xd3b0123456789abcdefx")
	f.Add("\xd3\xd3b01234\xd3b0123456789abcdef\xd3")
	f.Fuzz(func(t *testing.T, in string) {
		if strings.HasPrefix(in, "HsAg") {
			t.Skip("a plain client's bytes mean what comes together")
		}
		within(t, func() {
			var whole, small []string
			for i, r := range []io.Reader{strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in))} {
				p := agent.NewPort(struct {
					io.Reader
					io.WriteCloser
				}{r, newWire(nil)})
				for {
					c, err := p.Accept()
					if err != nil {
						break
					}
					b, _ := io.ReadAll(c)
					if i == 0 {
						whole = append(whole, string(b))
					} else {
						small = append(small, string(b))
					}
					_ = c.Close()
				}
			}
			if strings.Join(whole, "|") != strings.Join(small, "|") {
				t.Errorf("%q is taken for %q, and byte by byte for %q", in, whole, small)
			}
		})
	})
}
