// Package selfcmd has the commands about the program itself: its version, its manual pages, and
// its part that runs inside of computers.
package selfcmd
