//go:build !linux

package vm

import (
	"context"
	"errors"
	"log/slog"

	"github.com/hostler-project/hostler/compute"
)

// Provider does not exist on this system.
type Provider struct{ compute.Provider }

var _ compute.Provider = (*Provider)(nil)

// Open returns ErrUnavailable: this system lacks a safe way to tell processes apart.
func Open(_ context.Context, _ *slog.Logger, o Options) (*Provider, error) {
	return nil, &compute.Error{
		Op: "vm.Open", ID: compute.ID(o.Source), Kind: compute.ErrUnavailable, Err: errors.New("sources of type vm need Linux"),
		Hint: "use a source of type ssh with a Linux machine behind it",
	}
}

// Examine reports that there are no virtual machines here.
func Examine(context.Context, Options) []compute.Finding {
	return []compute.Finding{{Result: "skip", What: "vm", Detail: "virtual machines need Linux"}}
}

// Check accepts all: there are no virtual machines here.
func (o Options) Check() error { return nil }
