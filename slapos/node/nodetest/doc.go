// Package nodetest has what tests of a SlapOS node work with: a real master behind HTTP that notes
// what it is told, a supervisor, partitions of users of their own, and releases. What a test does
// with them is its own.
package nodetest
