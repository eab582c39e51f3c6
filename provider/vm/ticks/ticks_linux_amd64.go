package ticks

import "time"

// ticks reads the processor's time stamp counter, which emulated machines have as theirs.
func ticks() uint64

// Rate is how many thousand ticks it counts in a second, to a tenth of a thousandth. It takes a
// moment.
func Rate() int64 {
	from, began := now()
	time.Sleep(30 * time.Millisecond)
	to, ended := now()
	return (int64(float64(to-from)/float64(ended.Sub(began))*1e6) + 50) / 100 * 100
}

// now reads the counter and the clock at one time: it tries repeatedly, and returns the closest
// pair.
func now() (uint64, time.Time) {
	var tick uint64
	var at time.Time
	least := time.Hour
	for range 10 {
		before := time.Now()
		n := ticks()
		if gap := time.Since(before); gap < least {
			tick, at, least = n, before.Add(gap/2), gap
		}
	}
	return tick, at
}
