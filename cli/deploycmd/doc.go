// Package deploycmd has the commands that deploy nodes, list them and destroy them.
package deploycmd
