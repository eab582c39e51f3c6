package leasecmd

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// topBlock is a table or lines under a title.
type topBlock struct {
	title  string
	header []string
	rows   [][]string
	share  int // of the height, in percent
}

// lines returns how many lines the whole block takes; 0 if it is empty.
func (b *topBlock) lines() int {
	switch {
	case len(b.rows) == 0:
		return 0
	case b.header == nil:
		return len(b.rows) + 2
	case b.title == "":
		return len(b.rows) + 2
	}
	return len(b.rows) + 3
}

// draw draws a block in so many lines: the rows that fit, and a count of the others.
func (b *topBlock) draw(n int) []string {
	if n < 3 || len(b.rows) == 0 {
		return nil
	}
	lines := []string{""}
	head := 1
	if b.title != "" && b.header != nil {
		head = 2
	}
	fit := min(len(b.rows), n-1-head)
	if b.title != "" {
		title := b.title
		if rest := len(b.rows) - fit; rest > 0 {
			title += fmt.Sprintf("  (%d more)", rest)
		}
		lines = append(lines, title)
	}
	if fit < 0 {
		return lines
	}
	widths := make([]int, 16)
	rows := b.rows[:fit]
	if b.header != nil {
		rows = append([][]string{b.header}, rows...)
	}
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		lines = append(lines, line.String())
	}
	return lines
}

// cut shortens a line to so many characters.
func cut(s string, width int) string {
	if width <= 0 || utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width])
}

// shares divides a height among the blocks, in lines; 0 means no limit. Lines that one block does
// not need go to the next ones.
func shares(blocks []topBlock, height int) []int {
	out := make([]int, len(blocks))
	left := 0
	for i := range blocks {
		out[i] = blocks[i].lines()
		if height > 0 {
			out[i] = min(out[i], height*blocks[i].share/100)
			left += out[i]
		}
	}
	if height == 0 {
		return out
	}
	left = height - left
	for i := range blocks {
		more := min(left, blocks[i].lines()-out[i])
		out[i] += more
		left -= more
	}
	return out
}
