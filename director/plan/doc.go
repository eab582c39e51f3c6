// Package plan has what the engine and a director tell each other: a Snapshot of the sources, and
// the Directives that follow from it.
package plan
