package junit

import (
	"bufio"
	"encoding/xml"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Write writes a report as one file. Read gives the same report back.
func Write(w io.Writer, r *Report) error {
	b := bufio.NewWriter(w)
	put := func(words ...string) {
		for _, s := range words {
			_, _ = b.WriteString(s) // Flush reports errors
		}
	}
	quoted := func(name, value string) {
		if value != "" {
			put(" ", name, `="`, escape(value), `"`)
		}
	}
	totals := func(t Totals) {
		put(` tests="`, strconv.Itoa(t.Tests), `" failures="`, strconv.Itoa(t.Failures), `" errors="`, strconv.Itoa(t.Errors), `" skipped="`,
			strconv.Itoa(t.Skipped), `" time="`, inSeconds(t.Time), `"`)
	}
	put(`<?xml version="1.0" encoding="UTF-8"?>`, "\n<testsuites")
	totals(r.Totals)
	put(">\n")
	for _, s := range r.Suites {
		put("  <testsuite")
		quoted("name", s.Name)
		totals(s.Totals)
		put(">\n")
		for _, c := range s.Cases {
			put("    <testcase")
			quoted("classname", c.Class)
			quoted("name", c.Name)
			quoted("file", c.File)
			put(` time="`, inSeconds(c.Time), `"`)
			tag := map[Status]string{Failed: "failure", Errored: "error", Skipped: "skipped"}[c.Status]
			if tag == "" {
				put("/>\n")
				continue
			}
			put(">\n      <", tag)
			quoted("message", c.Message)
			put(">", escape(c.Text), "</", tag, ">\n    </testcase>\n")
		}
		put("  </testsuite>\n")
	}
	put("</testsuites>\n")
	return b.Flush()
}

func inSeconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// escape writes text for XML. Letters that XML forbids become U+FFFD.
func escape(s string) string {
	plain := !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || strings.ContainsRune(`<>&"'`, r) || r == utf8.RuneError })
	if plain {
		return s
	}
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
