package session

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
)

// Log writes messages as SlapOS's own commands do: to standard error, and to a file.
type Log struct {
	app     *cli.App
	File    string // --log-file; "": there is none
	verbose bool
	writing sync.Mutex
}

// Fail reports an error, also to the log file.
func (l *Log) Fail(err error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.app.Tell(err)
	for _, e := range api.Apart(err) {
		l.record(stamped("ERROR", term.ErrorText(e)))
	}
}

// Say reports progress, Warn something odd, and Note a detail.
func (l *Log) Say(format string, args ...any) {
	if !l.app.Quiet && !l.app.JSON {
		l.line("INFO", format, args)
	}
}

func (l *Log) Warn(format string, args ...any) { l.line("WARNING", format, args) }

func (l *Log) Note(format string, args ...any) {
	if l.verbose || l.app.Debug {
		l.line("DEBUG", format, args)
	}
}

// line writes a line of the log, as SlapOS's own commands do.
func (l *Log) line(level, format string, args []any) {
	_, _ = l.Write(stamped(level, fmt.Sprintf(format, args...)))
}

// stamped formats a line of the log.
func stamped(level, text string) []byte {
	var lines []string
	for one := range strings.SplitSeq(text, "\n") {
		lines = append(lines, term.Line(one))
	}
	return fmt.Appendf(
		nil, "%s slapos[%d] %s %s\n", time.Now().Format("2006-01-02 15:04:05"), os.Getpid(), level,
		strings.Join(lines, "\n"),
	)
}

// Write writes a message to standard error, and to the log file if there is one.
func (l *Log) Write(text []byte) (int, error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	n, bad := l.app.Err.Write(text)
	if l.File == "" {
		return n, bad
	}
	l.record(text)
	return len(text), nil
}

// record appends to the log file, if there is one. The caller holds writing.
func (l *Log) record(text []byte) {
	if l.File == "" {
		return
	}
	f, err := os.OpenFile(l.File, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err == nil {
		_, err = f.Write(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		_ = term.Printf(l.app.Err, "%s: --log-file: %s\n", l.app.Program, term.ErrorText(err))
		l.File = ""
	}
}
