package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
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
			shown[n][i] = escaped(cell)
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

// printable replaces what could drive a terminal in text that comes from elsewhere.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

// escaped shows what could drive a terminal, or cannot be seen, as Go writes it: \x1b, \n, \u202e.
func escaped(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return b.String()
}

func fprintf(w io.Writer, format string, args ...any) error {
	_, err := fmt.Fprintf(w, format, args...)
	return err
}
