package term

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	xterm "golang.org/x/term"

	"github.com/hostler-project/hostler/text/visible"
)

// Table prints rows below a header and a rule. Columns are as wide as their widest cell, with two
// spaces between, and no line ends in a space. It is crcache's table, byte for byte, since scripts
// cut it apart.
func Table(w io.Writer, header []string, rows [][]string) error {
	widths := make([]int, len(header))
	rule := make([]string, len(header))
	for i, h := range header {
		widths[i] = utf8.RuneCountInString(h)
	}
	shown := make([][]string, len(rows))
	for n, row := range rows {
		shown[n] = make([]string, len(row))
		for i, cell := range row {
			shown[n][i] = Line(cell)
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

// Table prints to standard output. On a terminal the last column is cut to the rest of the line.
func (t *Terminal) Table(header []string, rows [][]string) error {
	if out, ok := t.Out.(*os.File); ok && IsTerminal(out) {
		if cols, _, err := xterm.GetSize(int(out.Fd())); err == nil {
			rows = fit(header, rows, cols)
		}
	}
	return Table(t.Out, header, rows)
}

// noteLeast is the least width of the last column, however narrow the terminal.
const noteLeast = 24

// fit cuts the last column so that lines have at most cols columns, if possible.
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

// Line returns foreign text as one line that cannot control a terminal.
func Line(s string) string { return visible.Line(s) }

// Printf prints a message for the user. Arguments are shown as by Line. A visible.Block may have
// several lines.
func Printf(w io.Writer, format string, args ...any) error {
	return visible.Fprintf(w, format, args...)
}

// Displayed returns a stream for output from elsewhere. A terminal gets the text with its colours,
// but no other control characters. A file or a program gets every byte. end writes what was held
// back.
func Displayed(w io.Writer) (out io.Writer, end func() error) {
	if !IsTerminal(w) {
		return w, func() error { return nil }
	}
	shown := visible.NewWriter(w)
	return shown, shown.Close
}

// WriteContent prints output that came from elsewhere, as Displayed does.
func (t *Terminal) WriteContent(text string) error {
	out, end := Displayed(t.Out)
	_, err := io.WriteString(out, text)
	return errors.Join(err, end())
}
