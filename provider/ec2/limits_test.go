package ec2_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/ec2/ec2test"
)

// TestLimits has the quotas of processors by class, with what runs of each, on demand and spot,
// whatever the service's clock says.
func TestLimits(t *testing.T) {
	for _, skew := range []time.Duration{0, time.Hour, -time.Hour} {
		c, url := place(
			t,
			ec2test.Options{
				Skew:   skew,
				Limits: map[string]int{"Standard/OnDemand": 32, "Standard/Spot": 64, "G/OnDemand": 8, "X/OnDemand": 0},
			},
		)
		p := open(t, url, nil)
		create(t, p, "suite-1")
		create(t, open(t, url, func(o *ec2.Options) { o.Source, o.Types, o.Spot = "spot", []string{"m5.xlarge"}, "yes" }), "spot-1")
		create(t, open(t, url, func(o *ec2.Options) { o.Source, o.Types = "gpu", []string{"g4dn.xlarge"} }), "gpu-1")
		c.Fail(
			"ListServiceQuotas", 1,
			ec2test.Fault{Status: http.StatusTooManyRequests, Code: "TooManyRequestsException", Message: "Rate exceeded"},
		)
		want := []ec2.Limit{
			{Class: "G/OnDemand", Max: 8, Used: 4}, {Class: "Standard/OnDemand", Max: 32, Used: 2},
			{Class: "Standard/Spot", Max: 64, Used: 4}, {Class: "X/OnDemand"},
		}
		if got, untold, err := p.Limits(t.Context()); err != nil || untold != "" || !slices.Equal(got, want) {
			t.Errorf("with a clock that is %v before ours: %+v, %v", skew, got, err)
		}
		c.Fail(
			"ListServiceQuotas", -1,
			ec2test.Fault{
				Status: http.StatusForbidden, Code: "AccessDeniedException",
				Message: "User is not authorized to perform: servicequotas:ListServiceQuotas",
			},
		)
		if got, untold, err := p.Limits(t.Context()); err != nil || got != nil ||
			!strings.Contains(untold, "User is not authorized to perform") {
			t.Errorf("who may not ask: %+v, %q, %v", got, untold, err)
		}
		c.Heal()
		c.Fail(
			"ListServiceQuotas", -1,
			ec2test.Fault{Status: http.StatusInternalServerError, Code: "ServiceException", Message: "Something went wrong."},
		)
		if got, _, err := p.Limits(t.Context()); !errors.Is(err, compute.ErrUnavailable) {
			t.Errorf("a service that is down: %+v, %v", got, err)
		}
	}
	_, url := place(t, ec2test.Options{}) // which has no such service
	if got, untold, err := open(t, url, nil).Limits(t.Context()); err != nil || got != nil || untold != "" {
		t.Errorf("no such service: %+v, %v", got, err)
	}
}
