// Package journal learns from the lease engine's events: how long leases last and instances take
// to be made, and how many leases there were in the last time. Each reads only what is new, so
// it costs as much as has happened, and is the same for all processes on one store.
package journal
