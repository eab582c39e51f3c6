package host

import (
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/pool"
)

// uptime returns how long this machine has run.
func uptime() (pool.Uptime, error) {
	run, up, err := proc.Uptime()
	return pool.Uptime{Run: run, For: up}, err
}
