package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Direction holds a source's keys for the director, which keeps it filled where a controller runs.
type Direction struct {
	Strategy string // "reserve", "schedule" or "demand"
	// for "demand": the share of requests that should find an instance ready; 0: not set
	HitRate  float64
	Window   *time.Duration // for "demand": how far back to look; nil: not set
	Cold     int            // how many surplus instances may be kept stopped
	Price    float64        // of an instance for an hour; 0: not known
	Budget   float64        // for all its instances for an hour; 0: no limit
	DryRun   bool           // do nothing, and say what would be done
	Schedule []Window       // in the file's order
	TimeZone *time.Location // of the schedule; nil: this machine's
}

// Window is a line of [schedule]: NAME = BEGIN .. END: spare N, reserve N.
type Window struct {
	Name    string
	Begin   string // a cron expression
	End     string // a cron expression
	Reserve int
	Spare   int
}

const (
	scheduleSection = "schedule"
	zoneKey         = "time_zone"
	// DemandIdle is how long surplus instances stay under strategy demand if the source does not
	// say. It bridges gaps in the load.
	DemandIdle = 10 * time.Minute
)

// setDirectorKey sets a field from a key at the top.
func (s *Source) setDirectorKey(key, text string) (err error) {
	switch key {
	case "strategy":
		s.Strategy = text
		err = oneOf(text, "reserve", "schedule", "demand")
	case "hit_rate":
		number, percent := strings.CutSuffix(text, "%")
		if s.HitRate, err = strconv.ParseFloat(strings.TrimSpace(number), 64); percent {
			s.HitRate /= 100
		}
		if err != nil || !(s.HitRate > 0 && s.HitRate < 1) {
			err = fmt.Errorf("%q is not a share between 0 and 1, such as 0.95 or 95%%", text)
		}
	case "price":
		s.Price, err = money(text)
	case "budget":
		s.Budget, err = money(text)
	case "dry_run":
		s.DryRun, err = parseBool(text)
	}
	return err
}

func money(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= 0) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("%q is not a price: a number, for an hour", text)
	}
	return n, nil
}

// window reads a line of [schedule].
func (s *Source) window(name, text string, check func(begin, end string) error) (err error) {
	if foldKey(name) == zoneKey {
		s.TimeZone, err = time.LoadLocation(text)
		if err != nil || text == "" {
			err = fmt.Errorf("%q is no time zone such as Europe/Paris or UTC that this machine knows", text)
		}
		return err
	}
	const form = "a window is written BEGIN .. END: spare N, as in 0 9 * * 1-5 .. 0 17 * * 1-5: spare 5, reserve 2"
	times, what, ok := cutLast(text, ":")
	begin, end, both := strings.Cut(times, "..")
	if !ok || !both {
		return fmt.Errorf("%q: %s", text, form)
	}
	w := Window{Name: name, Begin: strings.TrimSpace(begin), End: strings.TrimSpace(end)}
	for _, part := range strings.Split(what, ",") {
		words := strings.Fields(part)
		if len(words) != 2 {
			return fmt.Errorf("%q: %s", strings.TrimSpace(part), form)
		}
		n, err := strconv.Atoi(words[1])
		switch {
		case err != nil || n < 0:
			return fmt.Errorf("%q is not a whole number from 0", words[1])
		case words[0] == "spare":
			w.Spare = n
		case words[0] == "reserve":
			w.Reserve = n
		default:
			return fmt.Errorf("%q is neither spare nor reserve", words[0])
		}
	}
	if check != nil {
		if err := check(w.Begin, w.End); err != nil {
			return err
		}
	}
	s.Schedule = append(s.Schedule, w)
	return nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// requireDirectorKeys checks which keys go together, and fills in defaults that depend on others.
func (s *Source) requireDirectorKeys(fail func(*Error)) {
	wrong := func(key string, err error) {
		at := s.Values[key]
		fail(&Error{File: s.File, Line: at.Line, Key: at.Key, Err: err})
	}
	given := func(key string) bool {
		_, ok := s.Values[key]
		return ok
	}
	if s.Strategy == "" && len(s.Schedule) > 0 {
		s.Strategy = "schedule"
	}
	if s.Strategy == "" {
		s.Strategy = "reserve"
	}
	if s.Strategy == "schedule" && len(s.Schedule) == 0 {
		wrong("strategy", errors.New("schedule needs windows in a section [schedule]"))
	}
	if s.Strategy == "reserve" && len(s.Schedule) > 0 {
		wrong("strategy", errors.New("reserve leaves the section [schedule] unused: write schedule, or demand, which both count it"))
	}
	for _, key := range []string{"hit_rate", "window"} {
		if given(key) && s.Strategy != "demand" {
			wrong(key, fmt.Errorf("is of strategy = demand alone, and this one is %s", s.Strategy))
		}
	}
	if s.Window != nil && *s.Window <= 0 {
		wrong("window", errors.New("is a time that ends"))
	}
	if s.Budget > 0 && s.Price == 0 {
		wrong("budget", errors.New("needs a price: what an instance costs for an hour"))
	}
	if s.Cold > 0 && s.Kind.Pool {
		wrong("cold", errors.New("a pool stops nothing: write it to its sources"))
	}
	if s.Strategy == "demand" && s.Idle == nil {
		idle := DemandIdle
		s.Idle = &idle
	}
}
