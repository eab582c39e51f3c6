//go:build !linux

package runcmd

import (
	"errors"

	"github.com/hostler-project/hostler/compute"
)

// whyHidden says that there are no sandboxes here.
func whyHidden(compute.Provider, compute.ID) (func(string, bool) (HiddenPath, bool), error) {
	return nil, errors.New("sandboxes are made by Linux kernels")
}
