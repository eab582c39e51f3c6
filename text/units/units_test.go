package units_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hostler-project/hostler/text/units"
)

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "2d": 48 * time.Hour, "1d12h": 36 * time.Hour, "1.5d": 36 * time.Hour,
		"12h1d": 36 * time.Hour, "-1d": -24 * time.Hour, "1µs": time.Microsecond, "106751d": 106751 * 24 * time.Hour,
	} {
		if got, err := units.ParseDuration(s); err != nil || got != want {
			t.Errorf("s = %q = got = %v, err = %v; want no error and got == want", s, got, err)
		}
	}
	for _, s := range []string{
		"", "1", "d", "1 d", "1d 2h", "1x", "1d-2h", "--1s", "106752d", "99999999999999999999d", "106751d24h", "1.2.3d",
		"NaNd", "1e3d", "-",
	} {
		if got, err := units.ParseDuration(s); err == nil {
			t.Errorf("%q = %v, no error", s, got)
		}
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "4096": 4096, "512M": 512 << 20, "4G": 4 << 30, "1.5T": 3 << 39, "1k": 1024, "1KiB": 1024,
		"2mb": 2 << 20, "7E": 7 << 60, "10B": 10,
		"9223372036854775807": math.MaxInt64,
	} {
		if got, err := units.ParseSize(s); err != nil || got != want {
			t.Errorf("s = %q = got = %v, err = %v; want no error and got == want", s, got, err)
		}
	}
	for _, s := range []string{
		"", "M", "-1", "+1", "1X", "8E", "9223372036854775808", "1iB", "iB", "B", "1e3", "0x10", "1 G", "inf", "1..5G",
		"99999999999999999999E",
	} {
		if got, err := units.ParseSize(s); err == nil {
			t.Errorf("%q = %v, no error", s, got)
		}
	}
}

func TestFormatSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 1023: "1023", 1024: "1K", 512 << 20: "512M", 1536: "1.5K",
		4 << 30: "4G", -1024: "-1K", math.MaxInt64: "8.0E",
		math.MinInt64: "-8.0E"} {
		if got := units.FormatSize(n); got != want {
			t.Errorf("%d = %q, want %q", n, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1<<20).Draw(t, "n") << rapid.IntRange(0, 40).Draw(t, "shift")
		got, err := units.ParseSize(units.FormatSize(n))
		if err != nil || math.Abs(float64(got-n)) > 0.051*float64(n) {
			t.Errorf("%d becomes %q becomes %d, %v", n, units.FormatSize(n), got, err)
		}
	})
}

func TestRoundSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 1023: "1023", 1 << 20: "1M", 1536 << 20: "1.5G", 1<<31 - 1: "2G"} {
		if got := units.RoundSize(n); got != want {
			t.Errorf("%d = %q, want %q", n, got, want)
		}
	}
}
