package main

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/hostler-project/hostler/text/visible"
)

// table prints rows under a header and a rule: columns as wide as their widest cell, two spaces between, nothing after the last word of a line.
// It is crcache's table, byte for byte, which scripts cut apart.
func table(w io.Writer, header []string, rows [][]string) error {
	widths := make([]int, len(header))
	rule := make([]string, len(header))
	for i, h := range header {
		widths[i] = utf8.RuneCountInString(h)
	}
	shown := make([][]string, len(rows))
	for n, row := range rows {
		shown[n] = make([]string, len(row))
		for i, cell := range row {
			shown[n][i] = printable(cell)
		}
	}
	rows = shown
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for i, n := range widths {
		rule[i] = strings.Repeat("-", n)
	}
	var b strings.Builder
	for _, row := range append([][]string{header, rule}, rows...) {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// table prints to standard output; on a terminal the last column, a note, is cut to what is left of the line.
func (a *app) table(header []string, rows [][]string) error {
	if out, ok := a.out.(*os.File); ok && isTerminal(out) {
		if cols, _, err := term.GetSize(int(out.Fd())); err == nil {
			rows = fit(header, rows, cols)
		}
	}
	return table(a.out, header, rows)
}

// noteLeast is what is left of a note, however narrow the terminal.
const noteLeast = 24

// fit cuts the last column so that lines are no longer than cols, as far as that can be.
func fit(header []string, rows [][]string, cols int) [][]string {
	last, left := len(header)-1, cols
	for i := range last {
		width := utf8.RuneCountInString(header[i])
		for _, row := range rows {
			width = max(width, utf8.RuneCountInString(row[i]))
		}
		left -= width + 2
	}
	left = max(left, noteLeast)
	out := slices.Clone(rows)
	for i, row := range out {
		if note := []rune(row[last]); len(note) > left {
			out[i] = append(slices.Clone(row[:last]), string(note[:left-3])+"...")
		}
	}
	return out
}

// printable shows text that comes from elsewhere on one line, and nothing of it drives a terminal.
func printable(s string) string { return visible.Line(s) }

// fprintf writes a message for people. What stands in the places of its format is shown as printable does; visible.Block has several lines.
func fprintf(w io.Writer, format string, args ...any) error {
	return visible.Fprintf(w, format, args...)
}

// displayed is a stream for output that came from elsewhere: a terminal is shown it, with its colours, and a file or a program has each byte as it was. end
// shows what was held back.
func displayed(w io.Writer) (out io.Writer, end func() error) {
	if !isTerminal(w) {
		return w, func() error { return nil }
	}
	shown := visible.NewWriter(w)
	return shown, shown.Close
}

// writeContent prints such output.
func (a *app) writeContent(text string) error {
	out, end := displayed(a.out)
	_, err := io.WriteString(out, text)
	return errors.Join(err, end())
}
