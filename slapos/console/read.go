package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hostler-project/hostler/slapos/proto"
)

// ReadOptions say how lines are read.
type ReadOptions struct {
	Name   string            // of what is read, for errors
	Show   func(v any) error // is given the value of each line that has one
	Prompt func(goesOn bool) // asks for a line, or for how one goes on; nil: nobody types
	Failed func(err error)   // is told an error at a prompt, after which the reading goes on
}

// Read runs the lines of an input until its end or, at a prompt, until exit(). Without a prompt the
// first error ends it too.
func (c *Console) Read(ctx context.Context, in io.Reader, o ReadOptions) error {
	lines, failed := inputLines(ctx, in)
	asks, text, n := o.Prompt != nil, "", 0
	for {
		if asks {
			o.Prompt(text != "")
		}
		var line string
		var more bool
		select {
		case line, more = <-lines:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !more {
			if err := <-failed; err != nil {
				return fmt.Errorf("%s: %w", o.Name, err)
			}
			if text == "" {
				return nil
			}
		}
		if more {
			n++
			text += line + "\n"
		}
		if word := strings.TrimSpace(text); asks && (word == "exit()" || word == "quit()" || word == "exit" || word == "quit") {
			return nil
		}
		if asks && strings.TrimSpace(text) == "help" {
			text = "help()"
		}
		v, err := c.Run(ctx, text)
		if more && errors.Is(err, ErrIncomplete) {
			continue
		}
		text = ""
		if err == nil && v != nil {
			err = o.Show(v)
		}
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case asks:
			o.Failed(err)
		default:
			return fmt.Errorf("%s, line %d: %w", o.Name, n, err)
		}
	}
}

// inputLines returns the lines of a file, and then the error that ended them. A goroutine reads
// them, since only input ends a read from a terminal. After a signal, it ends with the process.
func inputLines(ctx context.Context, in io.Reader) (<-chan string, <-chan error) {
	lines, failed := make(chan string), make(chan error, 1)
	go func() {
		defer close(lines)
		defer close(failed) // before lines is
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, proto.MaxSize)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
		failed <- scanner.Err()
	}()
	return lines, failed
}
