// Package debugcmd has the command debug: what helps to find out why hostler did something.
package debugcmd
