//go:build !linux

package proc

import "errors"

// All cannot be told here.
func All() (map[int]Stat, error) { return nil, errors.ErrUnsupported }
