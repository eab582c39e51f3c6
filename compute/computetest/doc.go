// Package computetest holds the suites that every implementation of compute's interfaces passes,
// against the real thing: Conn for ways into a computer. Whoever implements one calls the suite
// from a test of his own:
//
//	func TestConn(t *testing.T) {
//		computetest.Conn(t, computetest.ConnOptions{New: open, Dir: "/tmp"})
//	}
//
// An ability that a kind honestly lacks is skipped by name and with a reason, never silently.
package computetest
