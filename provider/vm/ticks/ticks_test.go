package ticks_test

import (
	"runtime"
	"testing"

	"github.com/hostler-project/hostler/provider/vm/ticks"
)

// TestRate compares with the clock.
func TestRate(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("ticks: only amd64 has microvms")
	}
	a, b := ticks.Rate(), ticks.Rate()
	if a < 100e3 || a > 20e6 || max(a, b)-min(a, b) > a/100 {
		t.Errorf("Rate() = %d and %d kHz; want nearly the same, from 100 MHz to 20 GHz", a, b)
	}
}
