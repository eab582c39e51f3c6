//go:build !linux

package hidden

import (
	"errors"

	"github.com/hostler-project/hostler/compute"
)

// whyHidden says that there are no sandboxes here.
func whyHidden(compute.Provider, compute.ID) (func(string, bool) (Path, bool), error) {
	return nil, errors.New("sandboxes are made by Linux kernels")
}
