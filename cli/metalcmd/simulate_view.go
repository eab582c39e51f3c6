package metalcmd

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/director"
)

// simulationView is the result of a trace with a source and a strategy, in `director simulate
// --json`.
type simulationView struct {
	Source    string   `json:"source"`
	Strategy  string   `json:"strategy"`
	Requests  int      `json:"requests"`
	Hits      int      `json:"hits"`
	Misses    int      `json:"misses"`
	Started   int      `json:"started"`
	HitRate   float64  `json:"hit_rate"`
	Unserved  int      `json:"unserved"`
	Wait      waitView `json:"wait"`
	Made      int      `json:"made"`
	Discarded int      `json:"discarded"`
	Peak      int      `json:"peak"`
	Used      float64  `json:"used"`
	Idle      float64  `json:"idle"`
	Stopped   float64  `json:"stopped"`
	IdleCost  float64  `json:"idle_cost"`
	Cost      float64  `json:"cost"`
}

// waitView says how long requests waited, in seconds.
type waitView struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

// viewOutcome describes what came of a replay, in seconds and in money.
func viewOutcome(source, strategy string, price float64, o director.Outcome) simulationView {
	var sum time.Duration
	for _, w := range o.Waits {
		sum += w
	}
	mean := 0.0
	if len(o.Waits) > 0 {
		mean = sum.Seconds() / float64(len(o.Waits))
	}
	return simulationView{Source: source, Strategy: strategy, Requests: o.Requests, Hits: o.Hits,
		Misses: o.Requests - o.Hits, Started: o.Cold, HitRate: o.HitRate(),
		Unserved: o.Requests - len(o.Waits),
		Wait:     waitView{mean, o.Wait(0.5).Seconds(), o.Wait(0.9).Seconds(), o.Wait(0.99).Seconds(), o.Wait(1).Seconds()},
		Made:     o.Made, Discarded: o.Discarded, Peak: o.Peak, Used: o.Used.Seconds(), Idle: o.Idle.Seconds(),
		Stopped:  o.Stopped.Seconds(),
		IdleCost: o.Idle.Hours() * price, Cost: (o.Idle + o.Used).Hours() * price}
}

func (v simulationView) row() []string {
	seconds := func(s float64) string { return strconv.FormatFloat(s, 'f', 1, 64) + "s" }
	hours := func(s float64) string { return strconv.FormatFloat(s/3600, 'f', 1, 64) + "h" }
	return []string{v.Source, v.Strategy, strconv.Itoa(v.Requests), fmt.Sprintf("%d (%.1f%%)", v.Hits, 100*v.HitRate),
		strconv.Itoa(v.Misses),
		seconds(v.Wait.P50), seconds(v.Wait.P90), seconds(v.Wait.P99), seconds(v.Wait.Max), strconv.Itoa(v.Made), strconv.Itoa(v.Peak),
		hours(v.Used), hours(v.Idle), strconv.FormatFloat(v.IdleCost, 'f', 2, 64)}
}

// caption returns the line below a plot's title.
func (v simulationView) caption() string {
	r := v.row()
	return fmt.Sprintf("%d requests: %s found one ready; the others waited, of all p99 %s and at most %s; instances in use for %s and idle for %s",
		v.Requests, r[3], r[7], r[8], r[11], r[12])
}

// writePlot draws charts into a file.
func writePlot(path string, charts []director.Chart) error {
	f, err := os.Create(path)
	if err != nil {
		return &compute.Error{Kind: compute.ErrInvalid, Err: err}
	}
	return errors.Join(director.Plot(f, charts), f.Close())
}
