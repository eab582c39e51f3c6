package director

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ReadTrace reads arrivals in one of three forms:
//
//   - CSV with the columns time, source and duration; a first line of names may change the order;
//   - JSON, one document a line, with these fields;
//   - the journal as `hostler events --json` prints it: its leases, from hand-out to return. Leases
//     that have not ended last until the newest event.
//
// Times are RFC 3339 or seconds, durations Go's or seconds. An error names the line.
func ReadTrace(r io.Reader) ([]Arrival, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	if b, _ := in.Peek(len(mark)); string(b) == mark { // as spreadsheets begin their files
		_, _ = in.Discard(len(mark))
	}
	for {
		b, err := in.Peek(1)
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil, errors.New("the trace is empty")
			}
			return nil, err
		}
		switch {
		case bytes.ContainsRune([]byte(" \t\r\n"), rune(b[0])):
			_, _ = in.ReadByte()
			continue
		case b[0] == '{':
			return together(readLines(in))
		}
		return together(readTable(in))
	}
}

const mark = "\ufeff"

// longest is how far apart the requests of a trace may be, and how long they may last. A replay has
// a round for each ten seconds of it.
const longest = 366 * 24 * time.Hour

// together returns an error if requests are too far apart: then some of their times are of another
// unit, or no times.
func together(all []Arrival, err error) ([]Arrival, error) {
	if err != nil {
		return nil, err
	}
	byTime := func(a, b Arrival) int { return a.Time.Compare(b.Time) }
	first, last := slices.MinFunc(all, byTime), slices.MaxFunc(all, byTime)
	if last.Time.Sub(first.Time) > longest {
		return nil, fmt.Errorf("it begins at %s and ends at %s: more than a year is not replayed; are some of its "+
			"times seconds, and others dates?",
			first.Time.UTC().Format(time.RFC3339), last.Time.UTC().Format(time.RFC3339))
	}
	for _, a := range all {
		if a.Lasts > longest {
			return nil, fmt.Errorf("the request of %s at %s lasts for more than a year", a.Source, a.Time.UTC().Format(time.RFC3339))
		}
	}
	return all, nil
}

// readTable reads CSV.
func readTable(in io.Reader) (out []Arrival, err error) {
	table := csv.NewReader(in)
	table.FieldsPerRecord, table.TrimLeadingSpace, table.Comment, table.ReuseRecord = -1, true, '#', true
	columns := map[string]int{"time": 0, "source": 1, "duration": 2}
	for first := true; ; first = false {
		row, err := table.Read()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		line, _ := table.FieldPos(0)
		if first && slices.Contains(row, "time") {
			columns = map[string]int{}
			for n, name := range row {
				columns[strings.TrimSpace(name)] = n
			}
			for _, name := range []string{"time", "source", "duration"} {
				if _, ok := columns[name]; !ok {
					return nil, fmt.Errorf("line %d: there is no column %s", line, name)
				}
			}
			continue
		}
		field := func(name string) string {
			if n := columns[name]; n < len(row) {
				return strings.TrimSpace(row[n])
			}
			return ""
		}
		a, err := arrival(field("time"), field("source"), field("duration"))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		out = append(out, a)
	}
	if len(out) == 0 {
		return nil, errors.New("the trace has no requests")
	}
	return out, nil
}

// record is a line of JSON: an arrival, or an event of the journal.
type record struct {
	Time     json.RawMessage `json:"time"`
	Source   string          `json:"source"`
	Duration json.RawMessage `json:"duration"`
	Kind     string          `json:"kind"`
	Lease    string          `json:"lease"`
	Owner    string          `json:"owner"`
}

// readLines reads JSON.
func readLines(in io.Reader) (out []Arrival, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	open := map[string]int{} // leases that have not ended, by id
	var newest time.Time
	for number := 1; lines.Scan(); number++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		duration := plainText(r.Duration)
		if r.Kind != "" {
			duration = "0"
		}
		a, err := arrival(plainText(r.Time), r.Source, duration)
		if r.Kind != "" && r.Kind != "leased" && r.Kind != "released" && err == nil {
			newest = later(newest, a.Time)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		newest = later(newest, a.Time)
		switch n, known := open[r.Lease]; {
		case r.Kind == "":
			out = append(out, a)
		case r.Kind == "leased":
			open[r.Lease] = len(out)
			out = append(out, a)
		case known:
			out[n].Lasts = max(0, a.Time.Sub(out[n].Time)) // the clock may have been set back
			delete(open, r.Lease)
		}
	}
	for _, n := range open {
		out[n].Lasts = newest.Sub(out[n].Time)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, errors.New("the trace has no requests")
	}
	return out, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// plainText returns a JSON number or string as it would stand in a table.
func plainText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// arrival reads one request of a trace: its time, its source, and how long it keeps the
// instance.
func arrival(at, source, lasts string) (a Arrival, err error) {
	if a.Time, err = readTime(at); err != nil {
		return a, err
	}
	if a.Source = source; source == "" {
		return a, errors.New("it names no source")
	}
	a.Lasts, err = readDuration(lasts)
	return a, err
}

// readTime reads RFC 3339, or seconds since 1970 with fractions.
func readTime(text string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(n) < 1e11 {
		whole, part := math.Modf(n)
		return time.Unix(int64(whole), int64(part*1e9)).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: RFC 3339, or seconds", text)
}

// readDuration reads Go's form of a duration, or a number of seconds.
func readDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if n, e := strconv.ParseFloat(text, 64); e == nil && math.Abs(n) < 1e9 {
		d, err = time.Duration(n*float64(time.Second)), nil
	}
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no duration: 90s, 1h30m, or seconds", text)
	}
	return d, nil
}
