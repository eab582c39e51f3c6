package metric

import (
	"bytes"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// contentType is the media type of Write's output.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

// Write writes all families, by name.
func (r *Registry) Write(w io.Writer) error {
	r.scrape.Lock()
	defer r.scrape.Unlock()
	r.mu.Lock()
	families, before := slices.Clone(r.families), slices.Clone(r.before)
	r.mu.Unlock()
	for _, f := range before {
		f()
	}
	var text bytes.Buffer
	for _, f := range families {
		f.write(&text)
	}
	_, err := w.Write(text.Bytes())
	return err
}

// ServeHTTP answers a scrape.
func (r *Registry) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", contentType)
	_ = r.Write(w) // the reader has gone
}

var escapeHelp = strings.NewReplacer("\\", `\\`, "\n", `\n`)

// write appends the family in the text format of Prometheus. A family without values is left
// out, and buckets are cumulative.
func (f *family) write(w *bytes.Buffer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.series) == 0 {
		return
	}
	w.WriteString("# HELP " + f.name + " " + escapeHelp.Replace(f.help) + "\n# TYPE " + f.name + " " + f.kind + "\n")
	for _, s := range f.sorted() {
		if f.kind != "histogram" {
			f.line(w, "", s.values, "", s.sum)
			continue
		}
		n := uint64(0)
		for i, c := range s.counts {
			n += c
			bound := "+Inf"
			if i < len(f.bounds) {
				bound = number(f.bounds[i])
			}
			f.line(w, "_bucket", s.values, bound, float64(n))
		}
		f.line(w, "_sum", s.values, "", s.sum)
		f.line(w, "_count", s.values, "", float64(n))
	}
}

// line writes one value; bound is that of a bucket, or "".
func (f *family) line(w *bytes.Buffer, suffix string, values []string, bound string, v float64) {
	w.WriteString(f.name + suffix)
	sep := byte('{')
	label := func(name, value string) {
		w.WriteByte(sep)
		sep = ','
		w.WriteString(name + `="`)
		escape(w, value)
		w.WriteByte('"')
	}
	for i, name := range f.labels {
		label(name, values[i])
	}
	if bound != "" {
		label("le", bound)
	}
	if sep == ',' {
		w.WriteByte('}')
	}
	w.WriteString(" " + number(v) + "\n")
}

// escape writes a label's value. Bytes that are no UTF-8 would make the whole answer unreadable.
func escape(w *bytes.Buffer, s string) {
	for _, c := range strings.ToValidUTF8(s, "\uFFFD") {
		switch c {
		case '\\':
			w.WriteString(`\\`)
		case '"':
			w.WriteString(`\"`)
		case '\n':
			w.WriteString(`\n`)
		default:
			w.WriteRune(c)
		}
	}
}

// number writes a value as the text format of Prometheus wants it, with its words for infinity
// and NaN.
func number(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	case math.IsNaN(v):
		return "NaN"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
