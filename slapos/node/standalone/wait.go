package standalone

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/hostler-project/hostler/compute"
)

// A Pass is what a node does by one command.
type Pass string

// The passes, which are named as their commands are.
const (
	Software   Pass = "software"
	Instance   Pass = "instance"
	Report     Pass = "report"
	Formatting Pass = "format"
)

// WaitOptions say how long a pass is tried. The zero value makes it once.
type WaitOptions struct {
	Retries int  // how often a failed pass is repeated
	All     bool // build or process up-to-date ones too
	// run on this terminal, and stop in buildout's debugger at an error
	Debug bool
	Lines int // of its output, the last ones, in the error; 0: 50 of software, 30 of others
}

// A PassError is the failure of a pass.
type PassError struct {
	Pass   Pass
	Status int    // its exit status: docs/slapos-commands.md; -1: it was killed
	Output string // the last lines of what it said
	Log    string // where all of it is
}

func (e *PassError) Error() string {
	return fmt.Sprintf("the pass %s exits with %d\n%s", e.Pass, e.Status, e.Output)
}

// WaitForSoftware makes passes over the software releases until all are in the wanted state. When
// retries are used up it returns a [*PassError].
func (s *Standalone) WaitForSoftware(ctx context.Context, o WaitOptions) error {
	words := []string{"slapos", "node", "software", "--now"}
	if o.All {
		words = append(words, "--all")
	}
	if o.Debug {
		words = append(words, "--buildout-debug")
	}
	o.Lines = cmp.Or(o.Lines, 50)
	return s.pass(ctx, Software, s.commandArgs(words...), o)
}

// WaitForInstance makes passes over the partitions until all instances are in the wanted state and
// their promises succeed. When retries are used up it returns a [*PassError].
func (s *Standalone) WaitForInstance(ctx context.Context, o WaitOptions) error {
	words := []string{"slapos", "node", "instance", "--now"}
	if o.All {
		words = append(words, "--force")
	}
	if o.Debug {
		words = append(words, "--buildout-debug")
	}
	return s.pass(ctx, Instance, s.commandArgs(words...), o)
}

// WaitForReport makes report passes until one succeeds: the use is reported, and instances to be
// destroyed are. When retries are used up it returns a [*PassError].
func (s *Standalone) WaitForReport(ctx context.Context, o WaitOptions) error {
	return s.pass(ctx, Report, s.commandArgs("slapos", "node", "report", "--now"), o)
}

// pass makes one until it succeeds.
func (s *Standalone) pass(ctx context.Context, of Pass, words []string, o WaitOptions) error {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return &compute.Error{Op: "standalone", Kind: compute.ErrUnavailable, Err: errors.New("it has ended")}
	}
	s.passes.Add(1)
	s.mu.Unlock()
	defer s.passes.Done()
	if of == Software && s.o.InstanceOnly {
		return &compute.Error{Op: "standalone", Kind: compute.ErrInvalid, Err: errors.New("no software is built here")}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() {
		cancel(cmp.Or(s.Err(), error(&compute.Error{Op: "standalone", Kind: compute.ErrUnavailable, Err: errors.New("it was stopped")})))
	})()
	name := "slapos-node-" + string(of)
	for try := 0; ; try++ {
		var at int64
		if info, err := os.Stat(s.log(name)); err == nil {
			at = info.Size()
		}
		err := s.run(ctx, name, words, o.Debug)
		exit, ended := errors.AsType[*exec.ExitError](err)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case ended && try < o.Retries:
			continue
		case ended:
			err = &PassError{Pass: of, Status: exit.ExitCode(), Output: s.lastLogLines(name, at, cmp.Or(o.Lines, 30)), Log: s.log(name)}
		}
		return &compute.Error{Op: "standalone", Kind: compute.ErrFailed, Err: err, Hint: "its log is " + s.log(name)}
	}
}

// lastLogLines are the last lines of a log from a place on.
func (s *Standalone) lastLogLines(name string, from int64, lines int) string {
	f, err := os.Open(s.log(name))
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		from = max(from, info.Size()-int64(lines)*longLine)
	}
	// a part of it is better than nothing
	text, _ := io.ReadAll(io.NewSectionReader(f, from, int64(lines)*longLine))
	all := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}

// longLine is how many bytes a line has at most, on average.
const longLine = 1 << 10
