package postgres

import "time"

// FreeFor is for how long a lock was seen to be free at each of some looks; a negative one finds it
// held.
func FreeFor(looks ...time.Duration) (out []time.Duration) {
	var d side
	begin := time.Now()
	for _, at := range looks {
		if at < 0 {
			d.forget(1)
		} else {
			out = append(out, d.freeFor(1, begin.Add(at)))
		}
	}
	return out
}
