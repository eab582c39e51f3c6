package leasecmd

import (
	"strconv"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute/fault"
)

// acquireCount reads COUNT.
func acquireCount(a *cli.App, args []string) (int, error) {
	if len(args) == 0 {
		return 1, nil
	}
	n, err := strconv.ParseUint(args[0], 10, 31)
	if err != nil {
		hint := "hostler acquire -s SOURCE COUNT"
		if a.IsSource(args[0]) {
			hint = "hostler acquire -s " + args[0]
		}
		return 0, fault.Invalid(hint, "COUNT %q is not a number of instances", args[0])
	}
	if n == 0 {
		return 0, fault.Invalid(
			"hostler acquire -s SOURCE 1; hostler status shows what there is", "COUNT 0: at least one is to be asked for",
		)
	}
	return int(n), nil
}
