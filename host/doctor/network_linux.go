package doctor

import (
	"context"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox/network"
)

// examineNetwork tries what the network of sandboxes needs.
func examineNetwork(ctx context.Context) []compute.Finding { return network.Examine(ctx) }
