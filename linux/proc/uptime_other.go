//go:build !linux

package proc

import (
	"errors"
	"time"
)

// Uptime returns ErrUnsupported: this system lacks a clock that counts sleep, the same for all
// processes.
func Uptime() (run string, up time.Duration, err error) { return "", 0, errors.ErrUnsupported }
