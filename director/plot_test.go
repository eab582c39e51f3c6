package director_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/director/plan"
)

// TestPlot: the picture is well-formed, of bounded size however long the trace, readable on both
// backgrounds, and says what it shows.
func TestPlot(t *testing.T) {
	for _, hours := range []float64{0.1, 5, 24 * 30} {
		o := director.Replay(director.Setup{Source: plan.SourceState{Name: "web", Spare: 2, Maximum: 4, ColdMost: 1, Idle: time.Minute},
			Tick:  time.Minute,
			Model: director.Model{Create: time.Minute}}, poisson(7, hours, 40, 5*time.Minute))
		var b bytes.Buffer
		if err := director.Plot(
			&b, []director.Chart{{Title: "web <b> & co", Caption: "reserve", Outcome: o}, {Title: "nothing"}},
		); err != nil {
			t.Fatal(err)
		}
		d := xml.NewDecoder(bytes.NewReader(b.Bytes()))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("it is not well-formed: %v", err)
			}
		}
		for _, want := range []string{
			"web &lt;b&gt; &amp; co", "prefers-color-scheme:dark", ">in use<", ">waiting<", ">no requests<",
			`class="used"`,
		} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("it has no %s", want)
			}
		}
		if b.Len() > 60000 || strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
			t.Errorf("%d bytes for %v hours", b.Len(), hours)
		}
		if n := strings.Count(b.String(), `text-anchor="middle"`); n < 1 || n > 12 {
			t.Errorf("%d times below the plot of %v hours", n, hours)
		}
	}
}
