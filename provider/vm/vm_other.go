//go:build !linux

package vm

import (
	"context"
	"errors"
	"log/slog"

	"github.com/hostler-project/hostler/compute"
)

// Provider cannot be had on this system.
type Provider struct{ compute.Provider }

var _ compute.Provider = (*Provider)(nil)

// Open returns ErrUnavailable: this system's processes cannot be told apart as ours have to be.
func Open(_ context.Context, _ *slog.Logger, o Options) (*Provider, error) {
	return nil, &compute.Error{
		Op: "vm.Open", ID: compute.ID(o.Source), Kind: compute.ErrUnavailable, Err: errors.New("sources of type vm need Linux"),
		Hint: "use a source of type ssh with a Linux machine behind it",
	}
}

// Examine says that there are no virtual machines of ours here.
func Examine(context.Context, Options) []compute.Finding {
	return []compute.Finding{{Result: "skip", What: "vm", Detail: "virtual machines need Linux"}}
}

// Check has nothing to say where there are no virtual machines of ours.
func (o Options) Check() error { return nil }
