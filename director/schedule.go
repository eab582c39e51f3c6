package director

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/hostler-project/hostler/director/plan"
)

// Window is a recurring time, and what a source is to have then beyond its configuration.
type Window struct {
	Name    string
	Reserve int
	Spare   int

	begin, end moments
}

// moments are the times of a cron expression.
type moments struct{ cron.Schedule }

// NewWindow makes a window of two cron expressions of five fields (minute, hour, day of the month,
// month, day of the week) or @daily and its kin.
func NewWindow(name, begin, end string) (Window, error) {
	w := Window{Name: name}
	var err error
	if w.begin, err = parse(begin); err != nil {
		return w, fmt.Errorf("its begin: %w", err)
	}
	if w.end, err = parse(end); err != nil {
		return w, fmt.Errorf("its end: %w", err)
	}
	if strings.Join(strings.Fields(begin), " ") == strings.Join(strings.Fields(end), " ") {
		return w, errors.New("it ends when it begins")
	}
	return w, nil
}

// parse reads a cron expression. One that can never come is an error.
func parse(expr string) (moments, error) {
	expr = strings.TrimSpace(expr)
	if strings.HasPrefix(expr, "@every") || strings.Contains(expr, "TZ=") {
		return moments{}, fmt.Errorf("%q is not a cron expression of five fields", expr)
	}
	s, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor).Parse(expr)
	if err != nil {
		return moments{}, fmt.Errorf("%q is not a cron expression of five fields: %w", expr, err)
	}
	if s.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return moments{}, fmt.Errorf("%q names a day that never comes", expr)
	}
	return moments{s}, nil
}

// last returns the newest moment that is not after t, or zero if there was none within five years.
func (m moments) last(t time.Time) time.Time {
	const day = 24 * time.Hour
	for _, back := range []time.Duration{2 * time.Hour, day, 8 * day, 63 * day, 367 * day, 5 * 366 * day} {
		at := m.Next(t.Add(-back))
		if at.IsZero() || at.After(t) {
			continue
		}
		for {
			next := m.Next(at)
			if next.IsZero() || next.After(t) {
				return at
			}
			at = next
		}
	}
	return time.Time{}
}

// open reports whether the window is open at a time of the wall clock: its last beginning is later
// than its last end.
func (w Window) open(wall time.Time) bool {
	began := w.begin.last(wall)
	return !began.IsZero() && began.After(w.end.last(wall))
}

// Schedule is the strategy of windows in a time zone. Outside of them a source has what is
// configured. Where several are open, the larger number counts.
type Schedule struct {
	Windows []Window
	Zone    *time.Location // nil: UTC
}

// Level returns the level of the open windows.
func (c Schedule) Level(now time.Time, s plan.SourceState) Level {
	l := Reserve{}.Level(now, s)
	wall := wallClock(now, c.Zone)
	open := false
	for _, w := range c.Windows {
		if w.open(wall) {
			open = true
			l = l.larger(Level{
				w.Reserve, w.Spare, w.Spare,
				fmt.Sprintf("window %s is open: reserve %d and spare %d", w.Name, w.Reserve, w.Spare),
			})
		}
	}
	if !open {
		l.Reason = "no window is open: " + l.Reason
	}
	return l
}

// wallClock returns the wall clock's time, as a time in UTC that only grows. A moment that the
// clocks skip in spring has come after the skip. In the hour that autumn repeats, no moment comes a
// second time.
func wallClock(now time.Time, zone *time.Location) time.Time {
	if zone == nil {
		zone = time.UTC
	}
	shown := func(t time.Time) time.Time {
		_, offset := t.Zone()
		return t.UTC().Add(time.Duration(offset) * time.Second)
	}
	now = now.In(zone)
	wall := shown(now)
	if start, _ := now.ZoneBounds(); !start.IsZero() {
		if before := shown(start.Add(-1)); before.After(wall) {
			return before
		}
	}
	return wall
}
