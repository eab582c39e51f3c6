// Package leasecmd has the commands that take, list, extend and release leases.
package leasecmd
