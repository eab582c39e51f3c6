// Package runcmd has the commands that use a computer: run and its records, shell, cp, ssh,
// forward.
package runcmd
