//go:build !linux

package doctor

import (
	"context"

	"github.com/hostler-project/hostler/compute"
)

// examineNetwork finds nothing: there are no sandboxes here.
func examineNetwork(context.Context) []compute.Finding { return nil }
