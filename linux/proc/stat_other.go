//go:build !linux

package proc

import "errors"

// All returns ErrUnsupported on this system.
func All() (map[int]Stat, error) { return nil, errors.ErrUnsupported }
