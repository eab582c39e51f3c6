package runcmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"sync"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
)

// lines puts what several commands write together, line by line, each with a label before it.
type lines struct {
	app *cli.App
	mu  sync.Mutex // one line at a time
	all []*lineWriter
}

// longest is how long a line may be: longer ones become several.
const longest = 64 << 10

func newLines(a *cli.App) *lines { return &lines{app: a} }

// lineWriter is one stream of one command.
type lineWriter struct {
	of     *lines
	part   *part
	stream string
	rest   []byte // of a line that has not ended
}

func (l *lines) of(p *part, stream string) *lineWriter {
	out := &lineWriter{of: l, part: p, stream: stream}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, out)
	return out
}

// flush writes what has no end of line.
func (l *lines) flush() {
	for _, one := range l.all {
		one.end()
	}
}

// lineView is a line that a command wrote, in --json of several at once and of logs.
type lineView struct {
	Index    int    `json:"index"`
	Instance string `json:"instance"`
	Stream   string `json:"stream"`
	Line     string `json:"line"`
}

// Write implements io.Writer.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	return addLines(&w.rest, p, w.line)
}

// addLines adds to what there is of a line, and has each line written that has ended, or that is
// too long: rest is it then.
func addLines(rest *[]byte, p []byte, write func() error) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			*rest = append(*rest, p...)
			if len(*rest) < longest {
				return n, nil
			}
			i, p = 0, []byte{'\n'}
		}
		*rest = append(*rest, p[:i]...)
		p = p[i+1:]
		if err := write(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// end writes the line that has not ended.
func (w *lineWriter) end() {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	if len(w.rest) > 0 {
		_ = w.line() // who does not take it has said so before
	}
}

// line writes what is there as a line. The lock is held.
func (w *lineWriter) line() error {
	var out io.Writer = w.of.app.Out
	if w.stream == "stderr" {
		out = w.of.app.Err
	}
	var b []byte
	if w.of.app.JSON {
		out = w.of.app.Out
		doc, err := json.Marshal(lineView{w.part.index, string(w.part.runner.Instance.ID), w.stream, string(w.rest)})
		if err != nil {
			return err
		}
		b = append(doc, '\n')
	} else {
		b = append(append(append(b, w.part.label...), w.rest...), '\n')
	}
	w.rest = w.rest[:0]
	to, end := term.Displayed(out)
	_, err := to.Write(b)
	return errors.Join(err, end())
}
