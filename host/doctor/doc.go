// Package doctor looks at this machine, its configuration, its state and its sources, and says what
// works, what does not and why, and how to mend it. It changes nothing.
package doctor
