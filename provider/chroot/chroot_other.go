//go:build !linux

package chroot

import (
	"context"
	"errors"
	"log/slog"

	"github.com/hostler-project/hostler/compute"
)

// Provider does not exist on this system.
type Provider struct{ compute.Provider }

var _ compute.Provider = (*Provider)(nil)

// open returns ErrUnavailable: this system has no overlayfs and no /proc.
func open(_ context.Context, _ *slog.Logger, o options) (*Provider, error) {
	return nil, &compute.Error{
		Op: "chroot.Open", ID: compute.ID(o.Source), Kind: compute.ErrUnavailable, Err: errors.New("sources of type chroot need Linux"),
		Hint: "use a source of type ssh with a Linux machine behind it",
	}
}
