//go:build !linux

package main

import (
	"errors"

	"github.com/hostler-project/hostler/pool"
)

// uptime has no clock here that goes on while the machine sleeps and is the same for all processes.
func uptime() (pool.Uptime, error) { return pool.Uptime{}, errors.ErrUnsupported }
