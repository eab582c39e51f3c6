package allocate

import "time"

// estimate returns the time until n instances, for the requests ahead and for this one, have come
// free or are made; 0: not known.
//
// c leases that last H each end at a rate of c/H (Little's law), so n of them take n·H/c. Where
// there is room for m more, each takes as long to make as the last one did, m at a time. The
// shorter time counts; behind a quota only the leases do.
func (k *prospects) estimate(s *Source, n int, quota bool) (time.Duration, error) {
	best := time.Duration(0)
	for _, c := range s.All() {
		r, err := k.record(c)
		if err != nil {
			return 0, err
		}
		if Unreachable(r) { // when it answers again is not known
			continue
		}
		hold, made := k.view.Durations(c.Name, k.view.Now)
		// A ready instance is on its way to the waiting request, and one being cleaned soon will
		// be.
		if among := r.Counts.InUse() + r.Counts.Ready + r.Counts.Cleaning; among > 0 && hold > 0 {
			best = shorter(best, scale(hold, n, among))
		}
		under := r.Counts.Creating + r.Counts.SettingUp + r.Counts.Cleaning
		if made > 0 && under > 0 && !quota {
			best = shorter(best, scale(made, (n+under-1)/under, 1))
		}
	}
	return best, nil
}

func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b < a {
		return b
	}
	return a
}

// scale returns d·n/c, a year at most: it is an estimate.
func scale(d time.Duration, n, c int) time.Duration {
	const year = 365 * 24 * time.Hour
	f := float64(d) * float64(n) / float64(c)
	if f > float64(year) {
		return year
	}
	return max(time.Millisecond, time.Duration(f))
}
