// Package computetest holds the suites that every implementation of compute's interfaces passes,
// against the real thing. A test of the implementation calls the suite:
//
//	func TestConn(t *testing.T) {
//		computetest.Conn(t, computetest.ConnOptions{New: open, Dir: "/tmp"})
//	}
//
// A case for an ability that a kind lacks is skipped by name and with a reason, never silently.
package computetest
