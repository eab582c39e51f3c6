package caching

import (
	"math"
	"time"
)

// forecast is what is known of how often images are asked for, by flavor and the image's name: a
// mean that forgets old requests, and the same for each hour of the day. It is plain data that may
// be kept as JSON. The zero value knows nothing. It is not safe for use by several goroutines at
// once.
type forecast struct {
	Hour  int64                           `json:"hour"` // the one that is counted now, since 1970
	Asked map[string]map[string]*requests `json:"asked"`
}

// requests are those for an image on a flavor.
type requests struct {
	Count int         `json:"count"` // in the hour that is counted now
	Mean  float64     `json:"mean"`  // requests in an hour, of late
	Day   [24]float64 `json:"day"`   // in the hours of the day, in UTC
	// which of these were seen at least once, a bit each
	Known  uint32 `json:"known"`
	Hours  int    `json:"hours"`           // so many were counted, up to a day
	Latest int64  `json:"latest,omitzero"` // the hour of the last request
}

const (
	lateWeight = 0.2     // of the last hour in the mean: half of it is of the last three hours
	dayWeight  = 0.3     // of the last day in the mean of an hour of the day
	forgotten  = 24 * 28 // hours without a request after which nothing is remembered
	nobody     = 0.01    // requests an hour: what is asked for less often is asked for by nobody
)

func hourOf(t time.Time) int64 { return int64(math.Floor(float64(t.Unix()) / 3600)) }

// Add counts a request at a time. One of an hour that is over already, as the clock went back,
// counts in that which is counted now.
func (f *forecast) Add(at time.Time, flavor, image string) {
	f.roll(hourOf(at))
	if f.Asked == nil {
		f.Asked = map[string]map[string]*requests{}
	}
	if f.Asked[flavor] == nil {
		f.Asked[flavor] = map[string]*requests{}
	}
	r := f.Asked[flavor][image]
	if r == nil {
		r = &requests{}
		f.Asked[flavor][image] = r
	}
	r.Count++
	r.Latest = f.Hour
}

// roll ends the hours before now.
func (f *forecast) roll(now int64) {
	// the first, or nothing was seen for so long that it says nothing
	if f.Hour == 0 || now-f.Hour > forgotten {
		f.Hour = now
		clear(f.Asked)
		return
	}
	for ; f.Hour < now; f.Hour++ {
		for flavor, images := range f.Asked {
			for image, r := range images {
				r.end(f.Hour)
				if f.Hour-r.Latest > forgotten {
					delete(images, image)
				}
			}
			if len(images) == 0 {
				delete(f.Asked, flavor)
			}
		}
	}
}

// end ends an hour.
func (r *requests) end(hour int64) {
	n := float64(r.Count)
	r.Count = 0
	// The first hours count alike, or what came first would weigh as much as all that was before
	// it.
	r.Hours = min(r.Hours+1, 24)
	r.Mean += max(lateWeight, 1/float64(r.Hours)) * (n - r.Mean)
	h := hourOfDay(hour)
	if r.Known&(1<<h) == 0 {
		r.Known |= 1 << h
		r.Day[h] = n
		return
	}
	r.Day[h] += dayWeight * (n - r.Day[h])
}

func hourOfDay(hour int64) int { return int((hour%24 + 24) % 24) }

// Demand is what will be asked for in an hour (metal.Fleet.Demand) around a time and the time lead
// after it: the largest of the mean of late, what came in this hour up to now, and what came at
// these hours on earlier days. So what is wanted each morning is there in the morning, and what is
// wanted all of a sudden is there soon. What is hardly ever asked for is left out.
func (f *forecast) Demand(now time.Time, lead time.Duration) map[string]map[string]float64 {
	f.roll(hourOf(now))
	out := map[string]map[string]float64{}
	for flavor, images := range f.Asked {
		for image, r := range images {
			rate := max(r.Mean, float64(r.Count))
			for h, end := f.Hour, max(hourOf(now.Add(lead)), f.Hour); h <= min(end, f.Hour+23); h++ {
				rate = max(rate, r.Day[hourOfDay(h)])
			}
			if rate < nobody {
				continue
			}
			if out[flavor] == nil {
				out[flavor] = map[string]float64{}
			}
			out[flavor][image] = rate
		}
	}
	return out
}
