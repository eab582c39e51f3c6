package runcmd

import (
	"encoding/json"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/run/multi"
	"github.com/hostler-project/hostler/run/runlog"
)

// jsonLines prints each line of a stream as a document.
type jsonLines struct {
	app    *cli.App
	run    runlog.Record
	stream string
	rest   []byte // the unfinished line
}

// Write implements io.Writer.
func (l *jsonLines) Write(p []byte) (int, error) { return multi.AddLines(&l.rest, p, l.line) }

// line prints a whole line as a document.
func (l *jsonLines) line() error {
	doc, err := json.Marshal(lineView{max(1, l.run.Shard), l.run.Instance, l.stream, string(l.rest)})
	l.rest = l.rest[:0]
	if err != nil {
		return err
	}
	return term.Printf(l.app.Out, "%s\n", doc)
}

// end prints the unfinished line.
func (l *jsonLines) end() error {
	if len(l.rest) == 0 {
		return nil
	}
	return l.line()
}
