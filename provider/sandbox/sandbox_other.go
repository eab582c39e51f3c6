//go:build !linux

package sandbox

import (
	"context"
	"errors"
	"log/slog"

	"github.com/hostler-project/hostler/compute"
)

// Provider does not exist on this system.
type Provider struct{ compute.Provider }

// Open returns an error: there are no sandboxes on this system.
func Open(_ context.Context, _ *slog.Logger, o Options) (*Provider, error) {
	return nil, &compute.Error{Op: "sandbox.Open", ID: compute.ID(o.Source), Kind: compute.ErrUnavailable,
		Err:  errors.New("sandboxes are made by Linux kernels"),
		Hint: "use a source of type container or vm"}
}

// examine reports that there are no sandboxes on this system.
func examine(context.Context, Options) []compute.Finding {
	return []compute.Finding{{
		Result: "skip", What: "sandbox", Detail: "sandboxes are made by Linux kernels",
		Hint: "use a source of type container or vm",
	}}
}

// Check accepts all: there are no sandboxes on this system.
func (o Options) Check() error { return nil }
