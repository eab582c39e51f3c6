package provider

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Stopper is a provider whose computers can be stopped, and started again with the data on their
// disks.
type Stopper interface {
	// Stop shuts a computer down. The computer has grace to do that itself. Stopping a stopped one
	// is no error.
	Stop(ctx context.Context, id compute.ID, grace time.Duration) error
	// Start starts it again. Connect returns ErrNotReady until it has booted. Starting a running
	// one is no error.
	Start(ctx context.Context, id compute.ID) error
}

// Resizer is a provider whose computers can be given other hardware and keep the data on their
// disks.
type Resizer interface {
	// Resize gives a computer another flavor, by its id or name, and returns when it has it. A
	// running computer is restarted. The same flavor again is no error. ErrNoCapacity: there is no
	// room for it, and the computer is as it was.
	Resize(ctx context.Context, id compute.ID, flavor string) error
}
