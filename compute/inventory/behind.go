package inventory

import (
	"context"

	"github.com/hostler-project/hostler/compute"
)

// Behind returns the instances of these names, and those behind them where they are of pools.
func Behind(ctx context.Context, b Book, names []compute.ID) []compute.ID {
	var out []compute.ID
	for _, name := range names {
		for name != "" {
			i, _, err := b.Resolve(ctx, string(name))
			if err != nil {
				break // what is wrong with it is reported by who uses it
			}
			out = append(out, i.ID)
			name = i.Child
		}
	}
	return out
}
