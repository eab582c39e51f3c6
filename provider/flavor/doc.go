// Package flavor chooses hardware sizes: which of the flavors that a cloud has is the cheapest that
// fits a need, how many jobs fit on it, and how many more servers a quota lets there be. It is
// pure: no I/O and no clock; whatever depends on the time is told it.
//
// Memory is in MiB and disk in GiB, as clouds have them.
package flavor
