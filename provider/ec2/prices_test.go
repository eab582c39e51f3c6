package ec2_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/ec2/ec2test"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

// market has prices for spot instances, old ones among them.
func market(c *ec2test.Cloud) {
	at := func(h int) time.Time { return time.Date(2026, 1, 2, h, 0, 0, 0, time.UTC) }
	a, b := ec2test.Zones[0], ec2test.Zones[1]
	c.SetPrices(
		ec2test.SpotPrice{
			Type: "m5.large", Zone: a, Price: "0.040", Time: at(3),
		}, ec2test.SpotPrice{Type: "m5.large", Zone: b, Price: "0.030", Time: at(3)},
		ec2test.SpotPrice{
			Type: "m5.xlarge", Zone: a, Price: "0.025", Time: at(3),
		}, ec2test.SpotPrice{Type: "m5.xlarge", Zone: b, Price: "0.080", Time: at(3)},
		ec2test.SpotPrice{
			Type: "c5.xlarge", Zone: a, Price: "0.001", Time: at(1),
		}, ec2test.SpotPrice{Type: "c5.xlarge", Zone: a, Price: "0.070", Time: at(3)},
		// nobody asks for a GPU
		ec2test.SpotPrice{Type: "g4dn.xlarge", Zone: a, Price: "0.0001", Time: at(3)},
	)
}

// TestSpotPrices takes the spot that costs least now, of any type that is large enough and in any
// zone.
func TestSpotPrices(t *testing.T) {
	c, url := place(t, ec2test.Options{})
	market(c)
	p := open(t, url, func(o *ec2.Options) {
		o.Types, o.Match, o.Memory, o.Zones, o.Spot = nil, "^(m5|c5|g4dn)", 4<<30, ec2test.Zones, "yes"
	})
	made := func(id compute.ID, typ, zone string) {
		t.Helper()
		if in := create(t, p, id); in.Facts["type"] != typ || in.Facts["zone"] != zone || in.Facts["market"] != "spot" {
			t.Errorf("%s: made at %v, want %s in %s", id, in.Facts, typ, zone)
		}
	}
	made("suite-1", "m5.xlarge", ec2test.Zones[0])
	c.Empty("m5.xlarge", ec2test.Zones[0], "spot", -1)
	made("suite-2", "m5.large", ec2test.Zones[1])
	if n := c.Calls("DescribeSpotPriceHistory"); n != 1 {
		t.Errorf("prices were asked for %d times", n)
	}

	// Types that are named keep their order, and nobody asks what they cost.
	named := open(t, url, func(o *ec2.Options) { o.Types, o.Spot = []string{"c5.xlarge", "m5.large"}, "yes" })
	if in := create(t, named, "suite-3"); in.Facts["type"] != "c5.xlarge" || c.Calls("DescribeSpotPriceHistory") != 1 {
		t.Errorf("named types: %v", in.Facts)
	}

	// Who may not ask gets what he got before.
	c.Fail("DescribeSpotPriceHistory", -1, ec2test.Fault{Status: 403, Code: "UnauthorizedOperation", Message: "You are not authorized."})
	blind := open(t, url, func(o *ec2.Options) { o.Types, o.Match, o.Spot = nil, "^(m5|c5)", "yes" })
	if in := create(t, blind, "suite-4"); in.Facts["type"] != "m5.large" {
		t.Errorf("without prices: %v", in.Facts)
	}
}

// TestSpotCeiling asks for no spot instance that costs more than the source says.
func TestSpotCeiling(t *testing.T) {
	c, url := place(t, ec2test.Options{})
	market(c)
	in := func(spot, ceiling string) func(*ec2.Options) {
		return func(o *ec2.Options) {
			o.Types, o.Zones, o.Spot, o.Ceiling = []string{"c5.xlarge", "m5.large", "m5.xlarge"}, ec2test.Zones[:1], spot, ceiling
		}
	}
	if in := create(t, open(t, url, in("yes", "0.05")), "suite-1"); in.Facts["type"] != "m5.large" || c.Calls("RunInstances") != 1 {
		t.Errorf("%v, after %d calls", in.Facts, c.Calls("RunInstances"))
	}
	_, err := open(t, url, in("yes", "0.01")).Create(t.Context(), compute.Spec{ID: "suite-2"})
	if !errors.Is(err, compute.ErrNoCapacity) || session.ReasonOf(err) != session.NoHardware || !provider.WasUnasked(err) ||
		!strings.Contains(err.Error(), "at least 0.025") || compute.Hint(err) == "" || c.Calls("RunInstances") != 1 {
		t.Errorf("all are too dear: %v", err)
	}
	if in := create(t, open(t, url, in("first", "0.01")), "suite-3"); in.Facts["market"] != "" || in.Facts["type"] != "c5.xlarge" {
		t.Errorf("all are too dear, and on demand is allowed: %v", in.Facts)
	}
	// Prices that are not told are EC2's to keep to.
	c.Fail("DescribeSpotPriceHistory", -1, ec2test.Fault{Status: 403, Code: "UnauthorizedOperation", Message: "You are not authorized."})
	if in := create(t, open(t, url, in("yes", "0.03")), "suite-4"); in.Facts["type"] != "m5.xlarge" {
		t.Errorf("without prices: %v", in.Facts)
	}
	for name, change := range map[string]func(*ec2.Options){
		"no number": in("yes", "cheap"), "nothing": in("yes", "0"), "less": in("yes", "-1"), "NaN": in("yes", "NaN"),
		"no spot": in("no", "0.1"),
		"two":     func(o *ec2.Options) { o.Spot, o.Ceiling, o.MaxPrice = "yes", "0.1", "0.2" },
	} {
		o := ec2.Options{Source: "suite", Installation: "here", Dir: t.TempDir()}
		change(&o)
		if _, err := ec2.Open(t.Context(), nil, o); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("%s: err = %v; want error compute.ErrInvalid", name, err)
		}
	}
}
