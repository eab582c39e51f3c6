// Package configurecmd has the commands that make configuration files of SlapOS: of a client, of a
// node, and of a node with a master of its own.
package configurecmd
