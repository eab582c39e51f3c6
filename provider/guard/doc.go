// Package guard wraps a provider so that neither it nor its callers come to harm. Calls are limited
// in number and rate, and each has a time-out. Failures that may pass are tried again. A panic
// becomes an error. Each call is reported.
//
// Create takes one of the places of Options.Creates; the other calls need no place. The abilities
// Cleaner and Checker are guarded too. All other abilities of the wrapped provider are found
// unguarded by provider.As. The wrapper has an ability only if the wrapped provider has it.
//
// A time-out ends the context of a call. A provider that ignores its context is waited for: the
// call returns when the provider does.
package guard
