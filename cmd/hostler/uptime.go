package main

import (
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/proc"
)

// uptime is how long this machine has run.
func uptime() (pool.Uptime, error) {
	run, up, err := proc.Uptime()
	return pool.Uptime{Run: run, For: up}, err
}
