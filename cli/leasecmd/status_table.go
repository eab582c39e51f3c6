package leasecmd

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/compute/share"
)

// CrcacheRow returns the part of a row that crcache's table has too.
func CrcacheRow(s inventory.SourceStatus) []string {
	return []string{s.Name, strconv.Itoa(s.Counts.Cached()), strconv.Itoa(s.Counts.InUse()), strconv.Itoa(s.Maximum)}
}

// note describes what is unusual about a source.
func note(s inventory.SourceStatus, now time.Time) string {
	var notes []string
	add := func(n int, format string) {
		if n > 0 {
			notes = append(notes, fmt.Sprintf(format, n))
		}
	}
	if s.Broken != nil {
		notes = append(notes, "broken: "+term.Note(s.Broken))
	}
	if s.Orphaned {
		notes = append(notes, "orphaned")
	}
	add(s.Cold, "%d cold")
	add(s.Counts.Creating+s.Counts.SettingUp, "%d being made")
	add(s.Counts.Cleaning, "%d being cleaned")
	add(s.Counts.Discarding, "%d being discarded")
	add(s.Counts.Failed, "%d failed")
	add(s.Counts.Held, "%d held")
	add(s.Waiting, "%d waiting")
	if s.Unready != nil {
		notes = append(notes, term.Line(s.Unready.String()))
	}
	if !s.Unreachable.IsZero() {
		notes = append(notes, strings.TrimPrefix(term.Line(s.LastError), "it "))
	} else if s.Paused.After(now) {
		why := ": " + term.Line(s.LastError)
		if s.Unready != nil && s.Unready.Why == s.LastError {
			why = ""
		}
		notes = append(notes, fmt.Sprintf("paused for %s%s", term.ShortDuration(s.Paused.Sub(now)), why))
	}
	return strings.Join(notes, ", ")
}

// instanceRows returns the table rows of an instance. That is one row, or with partial leases one
// for the whole and one for each lease.
func instanceRows(i compute.Instance, ls []*compute.Lease, now time.Time) [][]string {
	if len(ls) == 0 {
		return [][]string{instanceRow(i, nil, now)}
	}
	if ls[0].Share == nil {
		return [][]string{instanceRow(i, ls[0], now)}
	}
	row := instanceRow(i, nil, now)
	booked := fmt.Sprintf("%v booked", share.Booked(ls))
	if has, ok := share.SizeOf(i.Facts); ok {
		booked += fmt.Sprintf(" of %v", has)
	}
	if row[6] == "" {
		row[6] = booked
	} else {
		row[6] = booked + "; " + row[6]
	}
	rows := [][]string{row}
	for _, l := range ls {
		part := instanceRow(i, l, now)
		part[1], part[2], part[6] = "", term.ShortDuration(now.Sub(l.Given)), l.Share.String()
		rows = append(rows, part)
	}
	return rows
}

// instanceRow returns the row of an instance, with the lease on it.
func instanceRow(i compute.Instance, l *compute.Lease, now time.Time) []string {
	row := []string{string(i.ID), string(i.State), term.ShortDuration(now.Sub(i.Since)), "", "", "", term.Line(i.Why())}
	if i.Cold && row[6] == "" {
		row[6] = "cold"
	}
	if l != nil {
		row[3], row[4] = l.Name, term.Line(l.Owner)
		if l.Name == "" {
			row[3] = l.ID
		}
		if d := l.Deadline(); !d.IsZero() {
			row[5] = "in " + term.ShortDuration(d.Sub(now))
		}
		if l.Pool != "" && row[6] == "" {
			row[6] = "by " + string(l.Pool)
		}
	}
	return row
}
