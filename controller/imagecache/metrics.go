package imagecache

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/hostler-project/hostler/director/imagecache"
	"github.com/hostler-project/hostler/observe/metric"
)

// Metrics are the metrics of images on bare metal. A nil one measures nothing.
type Metrics struct {
	rounds, directives, requests, saved metric.Counter
	took                                metric.Histogram
	ready, nodes, underWay, left, held  metric.Gauge
	alarms                              metric.Gauge
}

// NewMetrics adds the metrics to those of a controller; nil: nothing is measured.
func NewMetrics(r *metric.Registry) *Metrics {
	if r == nil {
		return nil
	}
	return &Metrics{
		rounds:     r.Counter("hostler_metal_rounds_total", "Rounds of keeping images ready on bare metal: done, or suspended.", "result"),
		directives: r.Counter("hostler_metal_directives_total", "Directives for bare-metal nodes, by what came of them.", "do", "result"),
		requests: r.Counter(
			"hostler_metal_taken_nodes_total",
			"Nodes that somebody was seen to have taken: with the image ready (hit) or without (miss).", "flavor",
			"result",
		),
		saved: r.Counter(
			"hostler_metal_saved_seconds_total",
			"Time that those who took a node did not wait for its image to be written, by how long that takes in the mean.",
			"flavor",
		),
		took: r.Histogram(
			"hostler_metal_write_seconds",
			"How long it took to have an image written or a node wiped, as far as rounds can tell.",
			[]float64{60, 120, 300, 600, 900, 1200, 1800, 3600}, "do",
		),
		ready:    r.Gauge("hostler_metal_ready_nodes", "Nodes that stand ready with an image.", "flavor", "image"),
		nodes:    r.Gauge("hostler_metal_nodes", "Nodes by what they are: provisioned, cached, or free.", "flavor", "state"),
		underWay: r.Gauge("hostler_metal_under_way", "Directives under way."),
		left:     r.Gauge("hostler_metal_left_alone_nodes", "Nodes that are left alone after failures."),
		held:     r.Gauge("hostler_metal_held_back", "1 while ejections wait for a person's leave."),
		alarms: r.Gauge(
			"hostler_metal_alarms",
			"Alarms that stand, by what they are about: 1 for each node in quarantine, and 1 for all else.", "alarm",
		),
	}
}

// off clears the gauges, as no images are to be kept ready any more.
func (m *Metrics) off() {
	if m == nil {
		return
	}
	for _, g := range []metric.Gauge{m.ready, m.nodes, m.underWay, m.left, m.held, m.alarms} {
		g.Reset()
	}
}

// stopped raises the alarm that the loop could not start.
func (m *Metrics) stopped() {
	if m != nil {
		m.off()
		m.alarms.Set(1, imagecache.AlarmStopped)
	}
}

// begun clears that alarm.
func (m *Metrics) begun() {
	if m != nil {
		m.alarms.Set(0, imagecache.AlarmStopped)
	}
}

// Round counts what a round did.
func (m *Metrics) Round(r *imagecache.Report) {
	if m == nil {
		return
	}
	result := "done"
	if r.Suspended != "" {
		result = "suspended"
	}
	m.rounds.Add(1, result)
	m.alarms.Set(truth(r.Suspended != ""), imagecache.AlarmSuspended)
	if r.Suspended != "" {
		return // what is known is of before
	} // everything else is of an earlier round
	for _, d := range r.Directives {
		m.directives.Add(1, string(d.Do), d.Result)
	}
	for i := range r.Done {
		f := &r.Done[i]
		m.took.Observe(r.Time.Sub(f.Begun).Seconds(), string(f.Do))
	}
	for _, t := range r.Taken {
		m.requests.Add(1, t.Flavor, map[bool]string{true: "hit", false: "miss"}[t.Hit])
		m.saved.Add(t.Saved.Seconds(), t.Flavor)
	}
	m.ready.Reset()
	m.nodes.Reset()
	for flavor, c := range r.Flavors {
		for state, n := range map[string]int{"provisioned": c.Provisioned, "cached": c.Cached, "free": c.Available} {
			m.nodes.Set(float64(n), flavor, state)
		}
	}
	for _, w := range r.Ready {
		m.ready.Set(float64(w.Nodes), w.Flavor, cmp.Or(w.Title, w.Image))
	}
	m.underWay.Set(float64(r.UnderWay))
	m.left.Set(float64(r.Left))
	m.held.Set(truth(r.Held != ""))
	m.alarms.Set(truth(r.Held != ""), imagecache.AlarmHeld)
	m.alarms.Set(float64(r.Quarantined), imagecache.AlarmQuarantine)
}

// LogStatistics logs how many nodes are in which state, in all and by flavor.
func LogStatistics(log *slog.Logger, r *imagecache.Report) {
	if r.Suspended != "" {
		return
	}
	say := func(flavor string, c imagecache.Count) {
		log.Info(
			"nodes", "flavor", flavor, "provisioned", c.Provisioned, "not_provisioned", c.NotProvisioned, "available",
			c.Available, "cached", c.Cached, "total", c.Total, "images", c.Images,
		)
	}
	say("all", r.All)
	for _, flavor := range slices.Sorted(maps.Keys(r.Flavors)) {
		say(flavor, r.Flavors[flavor])
	}
	log.Debug("round", "took", time.Since(r.Time))
}

func truth(b bool) float64 { return map[bool]float64{true: 1}[b] }
