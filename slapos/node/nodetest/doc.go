// Package nodetest has tools for tests of a SlapOS node: a real master behind HTTP that notes its
// calls, a supervisor, partitions of users of their own, and releases.
package nodetest
