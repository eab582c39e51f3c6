package gauge

import (
	"math"
	"time"
)

// Forecast is what is known of how often images are asked for, by flavor and the image's name. It
// has a mean that forgets old requests, and a mean for each hour of the day. It is plain data that
// may be kept as JSON. The zero value knows nothing. It is not safe for concurrent use.
type Forecast struct {
	Hour  int64                           `json:"hour"` // the one that is counted now, since 1970
	Asked map[string]map[string]*requests `json:"asked"`
}

// requests counts the requests for an image on a flavor.
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
	lateWeight = 0.2     // weight of the last hour in the mean: half of it is of the last three hours
	dayWeight  = 0.3     // weight of the last day in the mean of an hour of the day
	forgotten  = 24 * 28 // hours without a request after which an image is forgotten
	nobody     = 0.01    // requests an hour: below this an image counts as not asked for
)

func hourOf(t time.Time) int64 { return int64(math.Floor(float64(t.Unix()) / 3600)) }

// Add counts a request at a time. If its hour is over already, as the clock went back, it counts in
// the present hour.
func (f *Forecast) Add(at time.Time, flavor, image string) {
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
func (f *Forecast) roll(now int64) {
	// the first hour, or no request for so long that the old counts say nothing
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
	// The first hours count alike. Otherwise the first one would weigh as much as all hours before
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

// Demand returns the expected requests an hour (metal.Fleet.Demand) between now and lead later. It
// is the largest of the recent mean, the count of this hour so far, and the counts of these hours
// on earlier days. So the images of each morning are ready in the morning, and a sudden demand is
// met soon. Images that are hardly ever asked for are left out.
func (f *Forecast) Demand(now time.Time, lead time.Duration) map[string]map[string]float64 {
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
