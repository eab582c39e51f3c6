//go:build !linux

package process_test

// cleanUp has nothing to do; see TestMain.
func cleanUp() {}
