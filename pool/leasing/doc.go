// Package leasing joins decisions to the store: it gives them what they go by, writes what they
// change, counts failures, and finds, renews and ends leases.
package leasing
