//go:build !linux

package proc

import (
	"errors"
	"time"
)

// Uptime has no clock here that goes on while the machine sleeps and is the same for all processes.
func Uptime() (run string, up time.Duration, err error) { return "", 0, errors.ErrUnsupported }
