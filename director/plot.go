package director

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// Chart is one diagram of a plot: the result of a trace.
type Chart struct {
	Title   string // the source and the strategy
	Caption string // a line of numbers
	Outcome Outcome
}

// The measures of a plot, in pixels.
const (
	plotWidth   = 1000
	chartHeight = 320
	plotLeft    = 56
	plotRight   = 16
	plotTop     = 64 // of a chart, for its title, caption and legend
	plotBottom  = 28 // for the times
)

// The colours can be told apart by colour-blind people, on white and on black; the areas also
// differ in lightness.
const plotStyle = `text{font:13px system-ui,sans-serif;fill:#1f2933}.t{font-weight:600;font-size:15px}.m{fill:#52606d;font-size:12px}.b{fill:#fff}
.g{stroke:#d5dbe1;stroke-width:1;fill:none}.used{fill:#2b6cb0}.idle{fill:#9fc9ea}.cold{fill:#dbe3ea}.wanted{stroke:#1f2933;stroke-width:1.5;fill:none;stroke-dasharray:5 3}
.waiting{stroke:#c2410c;stroke-width:2;fill:none}
@media (prefers-color-scheme:dark){text{fill:#e4e7eb}.m{fill:#9aa5b1}.b{fill:#14181d}.g{stroke:#323f4b}.used{fill:#4a90d9}.idle{fill:#27557f}.cold{fill:#2b343d}.wanted{stroke:#e4e7eb}.waiting{stroke:#fb923c}}
`

// Plot writes charts, one below the other, as an SVG for light and dark screens. A chart shows
// instances in use, idle and stopped on top of each other, the wanted level, and how many requests
// waited.
func Plot(w io.Writer, charts []Chart) error {
	var b bytes.Buffer
	height := chartHeight * len(charts)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n<style>%s</style>\n<rect class=\"b\" width=\"100%%\" height=\"100%%\"/>\n",
		plotWidth, height, plotWidth, height, plotStyle)
	for n, c := range charts {
		fmt.Fprintf(&b, `<g transform="translate(0 %d)">`+"\n", n*chartHeight)
		c.draw(&b)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	_, err := w.Write(b.Bytes())
	return err
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text))
	return b.String()
}

// draw draws one chart in its place.
func (c Chart) draw(b *bytes.Buffer) {
	label := func(class, anchor string, x, y float64, text string) {
		fmt.Fprintf(b, `<text class="%s" text-anchor="%s" x="%s" y="%s">%s</text>`+"\n", class, anchor, px(x), px(y), escape(text))
	}
	label("t", "start", plotLeft, 22, c.Title)
	label("m", "start", plotLeft, 42, c.Caption)
	o := c.Outcome
	span := o.End.Sub(o.Begin).Seconds()
	if len(o.Series) == 0 || span <= 0 {
		label("m", "start", plotLeft, chartHeight/2, "no requests")
		return
	}
	highest := 1.0
	for _, s := range o.Series {
		highest = math.Max(highest, math.Max(s.Used+s.Idle+s.Cold, math.Max(s.Waiting, s.Wanted)))
	}
	step := nice(highest / 5)
	highest = math.Ceil(highest/step) * step
	x := func(t time.Time) float64 {
		return plotLeft + (plotWidth-plotLeft-plotRight)*math.Min(1, math.Max(0, t.Sub(o.Begin).Seconds()/span))
	}
	y := func(v float64) float64 { return chartHeight - plotBottom - (chartHeight-plotTop-plotBottom)*v/highest }
	for v := 0.0; v <= highest+step/2; v += step {
		fmt.Fprintf(b, `<path class="g" d="M%s %sH%d"/>`+"\n", px(plotLeft), px(y(v)), plotWidth-plotRight)
		label("m", "end", plotLeft-8, y(v)+4, strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0"))
	}
	// Each area goes down to the axis, the highest first, so that there are no seams between them.
	for _, layer := range []struct {
		class string
		value func(Sample) float64
	}{
		{"cold", func(s Sample) float64 { return s.Used + s.Idle + s.Cold }},
		{"idle", func(s Sample) float64 { return s.Used + s.Idle }},
		{"used", func(s Sample) float64 { return s.Used }},
	} {
		fmt.Fprintf(b, `<path class="%s" d="M%s %s`, layer.class, px(x(o.Begin)), px(y(0)))
		for _, s := range o.Series {
			fmt.Fprintf(b, "H%sV%s", px(x(s.Time)), px(y(layer.value(s))))
		}
		fmt.Fprintf(b, `H%sV%sZ"/>`+"\n", px(x(o.End)), px(y(0)))
	}
	for _, line := range []struct {
		class string
		value func(Sample) float64
	}{
		{"wanted", func(s Sample) float64 { return s.Wanted }},
		{"waiting", func(s Sample) float64 { return s.Waiting }},
	} {
		fmt.Fprintf(b, `<path class="%s" d="M%s %s`, line.class, px(x(o.Begin)), px(y(line.value(o.Series[0]))))
		for _, s := range o.Series {
			fmt.Fprintf(b, "H%sV%s", px(x(s.Time)), px(y(line.value(s))))
		}
		fmt.Fprintf(b, `H%s"/>`+"\n", px(x(o.End)))
	}
	at := float64(plotWidth - plotRight)
	for _, key := range []string{"waiting", "wanted", "cold", "idle", "used"} {
		name := map[string]string{"waiting": "waiting", "wanted": "wanted", "cold": "stopped", "idle": "idle", "used": "in use"}[key]
		at -= float64(len(name))*7 + 34
		if key == "waiting" || key == "wanted" {
			fmt.Fprintf(b, `<path class="%s" d="M%s 18h16"/>`+"\n", key, px(at))
		} else {
			fmt.Fprintf(b, `<rect class="%s" x="%s" y="11" width="14" height="14"/>`+"\n", key, px(at))
		}
		label("m", "start", at+20, 22, name)
	}
	every, form := timeTicks(o.End.Sub(o.Begin))
	for t := o.Begin.Truncate(every); !t.After(o.End); t = t.Add(every) {
		if t.Before(o.Begin) || x(t) > plotWidth-plotRight-24 {
			continue
		}
		fmt.Fprintf(b, `<path class="g" d="M%s %sv5"/>`+"\n", px(x(t)), px(y(0)))
		label("m", "middle", x(t), chartHeight-8, t.Format(form))
	}
}

// px formats a number of pixels, to a tenth.
func px(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }

// nice returns the next larger of 1, 2, 5, 10, 20, ...
func nice(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(math.Max(v, 1))))
	for _, f := range []float64{1, 2, 5} {
		if f*power >= v {
			return f * power
		}
	}
	return 10 * power
}

// timeTicks returns the distance between the times below a plot of this span, and their format.
func timeTicks(span time.Duration) (every time.Duration, form string) {
	const day = 24 * time.Hour
	for _, t := range []struct {
		every time.Duration
		form  string
	}{
		{time.Second, "15:04:05"}, {10 * time.Second, "15:04:05"}, {time.Minute, "15:04"}, {5 * time.Minute, "15:04"},
		{15 * time.Minute, "15:04"}, {time.Hour, "15:04"},
		{3 * time.Hour, "15:04"}, {6 * time.Hour, "Jan 2 15:04"}, {12 * time.Hour, "Jan 2 15:04"}, {day, "Jan 2"},
		{2 * day, "Jan 2"}, {7 * day, "Jan 2"}, {28 * day, "Jan 2006"},
	} {
		if span/t.every <= 10 {
			return t.every, t.form
		}
	}
	return 364 * day, "2006"
}
