package ec2_test

import (
	"net/http"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/ec2/ec2test"
)

// instances is how many there are in a place.
func instances(c *ec2test.Cloud) (n int) {
	for _, s := range c.Things() {
		if s[:8] == "instance" {
			n++
		}
	}
	return n
}

// TestLostAnswer loses the answer to a launch, so that the SDK asks again, and again to the last: there is one instance.
func TestLostAnswer(t *testing.T) {
	for attempts, n := range map[int]int{3: 1, 2: 2} {
		c, url := place(t, ec2test.Options{})
		p := open(t, url, func(o *ec2.Options) { o.Attempts = attempts })
		c.FailAfter("RunInstances", n, ec2test.Fault{Status: http.StatusInternalServerError, Code: "InternalError", Message: "An internal error has occurred"})
		_, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
		if (err == nil) != (n < attempts) {
			t.Errorf("Create: %v", err)
		}
		if err != nil && (ec2.ReasonOf(err) != ec2.Down || compute.WasUnasked(err)) {
			t.Errorf("Create: %v: reason %q; it may have made one", err, ec2.ReasonOf(err))
		}
		if _, err := open(t, url, nil).Create(t.Context(), compute.Spec{ID: "suite-1"}); err != nil {
			t.Errorf("Create by the next process: %v", err)
		}
		if n := instances(c); n != 1 {
			t.Errorf("there are %d instances", n)
		}
		gone(t, p, "suite-1")
		if left := things(c); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}
