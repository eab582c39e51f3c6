//go:build !linux

package sandbox

import (
	"context"
	"errors"
	"log/slog"

	"github.com/hostler-project/hostler/compute"
)

// Provider is for Linux.
type Provider struct{ compute.Provider }

// Open says that there are no sandboxes here.
func Open(_ context.Context, _ *slog.Logger, o Options) (*Provider, error) {
	return nil, &compute.Error{Op: "sandbox.Open", ID: compute.ID(o.Source), Kind: compute.ErrUnavailable,
		Err:  errors.New("sandboxes are made by Linux kernels"),
		Hint: "use a source of type container or vm"}
}

// Examine says that there are no sandboxes here.
func Examine(context.Context, Options) []compute.Finding {
	return []compute.Finding{{
		Result: "skip", What: "sandbox", Detail: "sandboxes are made by Linux kernels",
		Hint: "use a source of type container or vm",
	}}
}

// Check has nothing to say where there are no sandboxes.
func (o Options) Check() error { return nil }
