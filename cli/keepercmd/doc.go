// Package keepercmd has the command keeper: the background process that keeps connections open and
// does what commands leave, and the questions to it.
package keepercmd
