// Package flavor chooses hardware sizes. It finds the cheapest of a cloud's flavors that meets a
// need, how many jobs fit on it, and how many more servers a quota allows. It does no I/O and reads
// no clock; the caller passes the time.
//
// Memory is in MiB and disk in GiB, as clouds count them.
package flavor
