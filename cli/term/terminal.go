// Package term has what all commands share for input and output: streams, tables, JSON documents,
// prompts, values of options, signals, and errors with their exit statuses. It knows no store, no
// provider and no engine.
package term

import (
	"io"
	"log/slog"
	"os"
	"sync/atomic"

	xterm "golang.org/x/term"
)

// Terminal has a command's streams, the form of its output and the name before its errors. Only one
// goroutine may use it; a copy shares the streams.
type Terminal struct {
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	Program string // the name before errors
	JSON    bool   // documents instead of text
	Quiet   bool   // only results and errors
	Debug   bool
	Stream  bool // one line for each JSON document
	Log     *slog.Logger
	// rewrites a hint for the program that was called; may be nil
	Rename func(program, hint string) string

	ended *atomic.Pointer[string] // the signal that ended the work
}

// NewTerminal returns a terminal for these streams. It logs nothing.
func NewTerminal(in io.Reader, out, errs io.Writer, program string) Terminal {
	return Terminal{In: in, Out: out, Err: errs, Program: program, Log: slog.New(slog.DiscardHandler), ended: new(atomic.Pointer[string])}
}

// LogDebug logs to standard error if the user asked for it.
func (t *Terminal) LogDebug() {
	if t.Debug {
		t.Log = slog.New(slog.NewTextHandler(t.Err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
}

// Say prints a line about progress to standard error, unless Quiet is set.
func (t *Terminal) Say(format string, args ...any) {
	if !t.Quiet {
		_ = Printf(t.Err, t.Program+": "+format+"\n", args...)
	}
}

// Warn prints a line about a problem that did not end the command to standard error.
func (t *Terminal) Warn(format string, args ...any) {
	_ = Printf(t.Err, t.Program+": "+format+"\n", args...)
}

// IsTerminal reports whether a stream is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && xterm.IsTerminal(int(f.Fd()))
}
