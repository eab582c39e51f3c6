package metalcmd

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
)

var strategies = []string{"reserve", "schedule", "demand"}

// check refuses values that no source could have.
func (o simulation) check(cmd *cobra.Command) error {
	for _, name := range o.strategies {
		if !slices.Contains(strategies, name) {
			return fault.Invalid(term.DidYouMean(name, strategies, ""), "--strategy %s: no such strategy", name)
		}
	}
	for name, n := range map[string]float64{"reserve": float64(o.reserve), "spare": float64(o.spare),
		"maximum": float64(o.maximum), "cold": float64(o.cold), "price": o.price,
		"budget": o.budget, "jitter": o.jitter} {
		if !(n >= 0) {
			return fault.Invalid("", "--%s %v: less than none", name, n)
		}
	}
	if !(o.jitter <= 1) {
		return fault.Invalid("", "--jitter %v: more than all of it", o.jitter)
	}
	if cmd.Flags().Changed("hit-rate") && !(o.hitRate > 0 && o.hitRate < 1) {
		return fault.Invalid("", "--hit-rate %v: not a share between 0 and 1", o.hitRate)
	}
	if o.budget > 0 && o.price == 0 {
		return fault.Invalid("", "--budget needs --price")
	}
	return nil
}
