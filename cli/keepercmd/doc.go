// Package keepercmd has the command keeper: a background process that keeps connections open,
// finishes the work of other commands and answers questions about that.
package keepercmd
