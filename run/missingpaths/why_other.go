//go:build !linux

package missingpaths

import (
	"errors"

	"github.com/hostler-project/hostler/compute"
)

// explainer says that there are no sandboxes here.
func explainer(compute.Provider, compute.ID) (func(string, bool) (Path, bool), error) {
	return nil, errors.New("sandboxes are made by Linux kernels")
}
