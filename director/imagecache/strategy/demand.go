package strategy

import (
	"cmp"
	"time"

	"github.com/hostler-project/hostler/director/stock"
)

// UsualLead is the time to write an image that is assumed where none is configured.
const UsualLead = 10 * time.Minute

// demanded picks by demand. An image is to be ready on enough nodes that a request finds it with
// the probability HitRate, if requests while one is written have Poisson's distribution. The next
// image is the one most likely to be asked for in that time. Images without demand are not picked.
func (r *round) demanded(fl *flavor, picks []int32, most int) []int32 {
	hit := cmp.Or(r.HitRate, stock.UsualHitRate)
	lead := cmp.Or(r.Lead, UsualLead).Hours()
	// the probabilities that a first, second... node of an image is asked for
	chances := make([][]float64, len(fl.Images))
	wanted, newest := 0, r.newest()
	for i := range fl.Images {
		t := &fl.Images[i]
		if name := r.fleet.Images[i].Name; newest[name] == i {
			chances[i] = stock.Chances(hit, r.fleet.Demand[fl.Flavor][name]*lead)
		}
		n := len(chances[i])
		if t.Most >= 0 {
			n = min(n, t.Most)
			chances[i] = chances[i][:n]
		}
		t.Fair = float64(n)
		wanted += max(n, t.Least)
	}
	fl.Goal = min(fl.Goal, wanted)
	for len(picks) < min(fl.Free, most) {
		best, chance := -1, 0.0
		for i := range fl.Images {
			t := &fl.Images[i]
			if has := t.Cached + t.Writes; has < len(chances[i]) && chances[i][has] > chance {
				best, chance = i, chances[i][has]
			}
		}
		if best < 0 {
			break
		}
		picks = append(picks, int32(best))
		fl.Images[best].Writes++
	}
	return picks
}

// newest returns the indexes of images by name. Of several with one name it is the one that was
// made last, the first of those.
func (r *round) newest() map[string]int {
	of := r.fleet.Images
	newest := make(map[string]int, len(of))
	for i := range of {
		if j, ok := newest[of[i].Name]; !ok || of[i].Created.After(of[j].Created) {
			newest[of[i].Name] = i
		}
	}
	return newest
}
