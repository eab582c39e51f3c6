package runlog

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/text/words"
)

// Cancelled is the error kind of a run that was ended because another one of several had failed.
// The run itself has not failed.
const Cancelled = "cancelled"

// Failed reports whether the run was lost, or ended with a status other than 0 and was not
// cancelled.
func (r *Record) Failed() bool {
	return r.State == Lost || r.Exit != nil && *r.Exit != 0 && r.Kind != Cancelled
}

// On reports whether name is the name of the run, or its lease or instance.
func (r *Record) On(name string) bool {
	return name != "" && slices.Contains([]string{r.Name, r.Lease, r.Instance}, name)
}

// Took says how long the run took, or has taken so far; "-" if it was lost.
func (r *Record) Took() string {
	switch {
	case r.Ended != nil:
		return seconds(r.Ended.Sub(r.Started))
	case r.State == Lost:
		return "-"
	}
	return seconds(time.Since(r.Started))
}

// seconds formats a short time with fractions, and a long one without.
func seconds(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return max(d, 0).Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return words.Short(d)
}

// How describes in a word how the run ended.
func (r *Record) How() string {
	switch {
	case r.State == Held: // the instance holds it; users do not know that word
		return "detached"
	case r.State != Ended || r.Exit == nil:
		return string(r.State)
	case r.Kind == Cancelled:
		return Cancelled
	case r.Kind != "":
		return strconv.Itoa(*r.Exit) + " " + r.Kind
	case r.Signal != "":
		return strconv.Itoa(*r.Exit) + " " + r.Signal
	}
	return strconv.Itoa(*r.Exit)
}

// String lists the phases that are not 0.
func (p Phases) String() string {
	var all []string
	for _, one := range []struct {
		name    string
		seconds float64
	}{
		{"queue", p.Queue}, {"acquire", p.Acquire}, {"connect", p.Connect}, {"scan", p.Scan}, {"send", p.Send},
		{"command", p.Command}, {"collect", p.Collect}, {"release", p.Release},
	} {
		if d := time.Duration(one.seconds * float64(time.Second)); d >= time.Microsecond {
			if d < 10*time.Second {
				all = append(all, one.name+" "+d.Round(max(time.Microsecond*100, d/1000)).Round(time.Microsecond).String())
			} else {
				all = append(all, one.name+" "+seconds(d))
			}
		}
	}
	return strings.Join(all, ", ")
}
