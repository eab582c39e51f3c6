package promise

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/hostler-project/hostler/slapos/node/home"
)

// Entry is a line of a promise's history: its own result, also a failure that is no anomaly yet.
type Entry struct {
	Date   time.Time `json:"date"`
	Kind   Mode      `json:"type"`
	Failed bool      `json:"failed"`
	Took   float64   `json:"execution-time"` // seconds
}

// History is what a promise of a title has said since a time, oldest first, as far as it is kept:
// about 700 results, and as many again. A line that cannot be read is passed over.
func History(d *home.Dir, title string, since time.Time) (all []Entry, err error) {
	p := foundPromise{title: title}
	for _, name := range []string{p.historyFile() + ".1", p.historyFile()} {
		text, err := d.Read(name, 2*maxFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(text) {
			var e Entry
			if json.Unmarshal(line, &e) == nil && !e.Date.Before(since) {
				all = append(all, e)
			}
		}
	}
	// a clock may have been set back
	slices.SortStableFunc(all, func(a, b Entry) int { return a.Date.Compare(b.Date) })
	return all, nil
}

// Day is how many hours [Hours] covers.
const Day = 24

// Hours are the last 24 hours of a history up to the end of an hour, oldest first, a character
// each: - nothing was asked, 0 it was kept all the time, 1 to 9 the share of those times at which
// it failed, 9 all of them.
func Hours(all []Entry, until time.Time) string {
	var asked, failed [Day]int
	for _, e := range all {
		since := e.Date.Sub(until.Add(-Day * time.Hour))
		if since < 0 || since >= Day*time.Hour {
			continue
		}
		i := since / time.Hour
		if asked[i]++; e.Failed {
			failed[i]++
		}
	}
	text := make([]byte, Day)
	for i := range text {
		switch {
		case asked[i] == 0:
			text[i] = '-'
		case failed[i] == 0:
			text[i] = '0'
		default:
			text[i] = '0' + byte(max(1, 9*failed[i]/asked[i]))
		}
	}
	return string(text)
}

// HourEnd is the end of the hour that a time is in.
func HourEnd(t time.Time) time.Time { return t.UTC().Truncate(time.Hour).Add(time.Hour) }
