// Package sourcecmd has the commands about the configuration: sources, trust, checks, the store.
package sourcecmd
