// Package runcmd has the commands that use a computer: run and its records, watch, shell, cp,
// forward.
package runcmd
