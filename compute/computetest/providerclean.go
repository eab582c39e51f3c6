package computetest

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

const leftover = "hostler-suite-leftover" // a file that a user leaves behind

// tarOf returns a tar stream with one file.
func tarOf(name, text string) io.Reader {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(text)), Typeflag: tar.TypeReg})
	w.Write([]byte(text))
	w.Close()
	return &b
}

// clean leaves a file and a process behind and looks for them after Clean. Machines that stay keep
// their files.
func (s *providerSuite) clean(t *testing.T) {
	p, id := s.o.New(t), s.id(0)
	can := provider.Of(p)
	c := can.Cleaner
	if c == nil {
		t.Skip("clean: this provider is no Cleaner")
	}
	asIs := can.Static != nil && can.Static.AsIs()
	if _, err := c.Clean(s.context(t), "other-1"); err == nil {
		t.Error("Clean of an unknown computer: nil")
	}
	s.create(t, p, id)
	for round := range 2 { // what was cleaned is used again, and cleaned again
		conn := s.connect(t, p, id)
		if !asIs {
			if err := conn.Put(s.context(t), "/tmp", tarOf(leftover, "secret")); err != nil {
				t.Fatalf("Put: %v", err)
			}
			if err := conn.Get(s.context(t), "/tmp/"+leftover, io.Discard); err != nil {
				t.Fatalf("Get of what was put: %v", err)
			}
		}
		var pid string
		if s.o.Reply == "" {
			var out bytes.Buffer
			leave := &compute.Command{
				Args: []string{"sh", "-c", "sleep 3987 </dev/null >/dev/null 2>&1 & echo $!"}, Stay: true, Stdout: &out,
			}
			if _, err := conn.Run(s.context(t), leave); err != nil {
				t.Fatal(err)
			}
			pid = strings.TrimSpace(out.String())
			if _, exit := s.run(t, conn, "kill", "-0", pid); exit.Status() != 0 {
				t.Fatalf("the process %s that shall be left behind does not live", pid)
			}
		}
		said, err := c.Clean(s.context(t), id)
		if err != nil {
			t.Fatalf("Clean: %v", err)
		}
		if said == "" {
			t.Error("Clean does not say what it checked")
		}
		conn.Close()
		conn = s.connect(t, p, id)
		s.works(t, conn)
		if !asIs {
			var b bytes.Buffer
			if err := conn.Get(s.context(t), "/tmp/"+leftover, &b); err == nil {
				t.Errorf("round %d: the last user's file is there after Clean", round)
			}
		}
		if pid != "" {
			s.eventually(t, "the last user's process is gone", func() error {
				// A process that has ended and is not reaped yet counts as gone: the computer's
				// first process has to reap it. Where Clean began a new numbering of processes,
				// another process or thread may have the number.
				out, _ := s.run(
					t, conn, "sh", "-c",
					`kill -0 "$1" && ! grep -q '^State:.Z' "/proc/$1/status" && grep -q 3987 "/proc/$1/cmdline" && echo yes`,
					"x", pid,
				)
				if out != "" {
					return fmt.Errorf("process %s lives", pid)
				}
				return nil
			})
		}
		if _, err := c.Clean(s.context(t), id); err != nil {
			t.Fatalf("Clean again: %v", err)
		}
		conn.Close()
	}
	s.destroy(t, p, id)
	if _, err := c.Clean(s.context(t), id); s.fixed == nil && !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("Clean of what is destroyed: %v, want ErrNotFound", err)
	}
}
