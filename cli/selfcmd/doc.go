// Package selfcmd has the commands about the program itself: its version, its manual pages, and the
// agent inside computers.
package selfcmd
