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

// open returns ErrUnavailable: this system lacks a safe way to tell processes apart.
func open(_ context.Context, _ *slog.Logger, o options) (*Provider, error) {
	return nil, &compute.Error{
		Op: "vm.Open", ID: compute.ID(o.Source), Kind: compute.ErrUnavailable, Err: errors.New("sources of type vm need Linux"),
		Hint: "use a source of type ssh with a Linux machine behind it",
	}
}

// examine reports that there are no virtual machines here.
func examine(context.Context, options) []compute.Finding {
	return []compute.Finding{{Result: "skip", What: "vm", Detail: "virtual machines need Linux"}}
}

// Check accepts all: there are no virtual machines here.
func (o options) Check() error { return nil }
