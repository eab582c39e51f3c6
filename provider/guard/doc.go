// Package guard wraps a provider so that nobody can harm it, or be harmed by it: calls are limited
// in number and rate, each has a time-out, failures that may pass are tried again, a panic becomes
// an error, and each call is reported.
//
// Create takes one of the places of Options.Creates; all else goes on beside it. What the wrapped
// provider can do besides (Cleaner, Checker) is guarded too; all its other abilities are found by
// compute.As as they are. The wrapper has an ability only if the wrapped provider has it.
//
// A time-out ends the context of a call. A provider that does not obey its context is not left
// behind: the call returns when it does.
package guard
