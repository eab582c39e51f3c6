// Package units reads and writes sizes and durations as people write them.
package units

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// ParseDuration reads Go's durations and days, also together: "90s", "1h30m", "2d", "1d12h". "0"
// needs no unit.
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration such as 90s, 1h30m or 2d", s)
	rest, negative := strings.CutPrefix(s, "-")
	if !negative {
		rest = strings.TrimPrefix(rest, "+")
	}
	if rest == "0" {
		return 0, nil
	}
	if rest == "" {
		return 0, bad
	}
	var sum time.Duration
	for rest != "" {
		n := strings.IndexFunc(rest, func(r rune) bool { return !('0' <= r && r <= '9' || r == '.') })
		if n <= 0 {
			return 0, bad
		}
		unit := strings.IndexFunc(rest[n:], func(r rune) bool { return '0' <= r && r <= '9' || r == '.' })
		if unit < 0 {
			unit = len(rest) - n
		}
		var d time.Duration
		var err error
		if rest[n:n+unit] == "d" {
			d, err = days(rest[:n])
		} else {
			d, err = time.ParseDuration(rest[:n+unit])
		}
		if err != nil || sum+d < sum {
			return 0, bad
		}
		sum += d
		rest = rest[n+unit:]
	}
	if negative {
		sum = -sum
	}
	return sum, nil
}

func days(s string) (time.Duration, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n > math.MaxInt64/int64(day) {
			return 0, strconv.ErrRange
		}
		return time.Duration(n) * day, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f*float64(day) > math.MaxInt64/2 {
		return 0, strconv.ErrRange
	}
	return time.Duration(math.Round(f * float64(day))), nil
}

const sizeUnits = "KMGTPE"

// ParseSize reads a number of bytes: "512M", "4G", "1.5T", "4096". The letters K, M, G, T, P and E
// are powers of 1024; "B" or "iB" after them and small letters mean the same.
func ParseSize(s string) (int64, error) {
	bad := fmt.Errorf("%q is not a size such as 512M or 4G", s)
	num := strings.ToUpper(s)
	shift := 0
	if t, ok := strings.CutSuffix(num, "B"); ok {
		num = t
		if t, ok := strings.CutSuffix(t, "I"); ok {
			if num = t; t == "" || !strings.Contains(sizeUnits, t[len(t)-1:]) {
				return 0, bad
			}
		}
	}
	if num == "" {
		return 0, bad
	}
	if i := strings.IndexByte(sizeUnits, num[len(num)-1]); i >= 0 {
		shift = 10 * (i + 1)
		num = num[:len(num)-1]
	}
	if strings.Trim(num, "0123456789.") != "" {
		return 0, bad
	}
	if n, err := strconv.ParseInt(num, 10, 64); err == nil {
		if n > math.MaxInt64>>shift {
			return 0, fmt.Errorf("%q is larger than any size", s)
		}
		return n << shift, nil
	}
	f, err := strconv.ParseFloat(num, 64)
	if errors.Is(err, strconv.ErrRange) || err == nil && f*float64(int64(1)<<shift) >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is larger than any size", s)
	}
	if err != nil {
		return 0, bad
	}
	return int64(math.Round(f * float64(int64(1)<<shift))), nil
}

// FormatSize writes a number of bytes for people, and for ParseSize to read: "512M", "4G", "1.5T";
// exact when a unit divides it, else to a tenth.
func FormatSize(n int64) string {
	if n < 0 {
		return "-" + FormatSize(-max(n, -math.MaxInt64))
	}
	unit := -1
	for v := n; v >= 1024; v >>= 10 {
		unit++
	}
	if unit < 0 {
		return strconv.FormatInt(n, 10)
	}
	shift := 10 * (unit + 1)
	if n&(1<<shift-1) == 0 {
		return strconv.FormatInt(n>>shift, 10) + sizeUnits[unit:unit+1]
	}
	return strconv.FormatFloat(float64(n)/float64(int64(1)<<shift), 'f', 1, 64) + sizeUnits[unit:unit+1]
}

// RoundSize writes a number of bytes for people alone, to a tenth of a unit: "512M", "1.5G", "2G".
func RoundSize(n int64) string {
	f, unit := float64(n), ""
	for k := 0; k < len(sizeUnits) && math.Abs(f) >= 1024; k++ {
		f, unit = f/1024, sizeUnits[k:k+1]
	}
	return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64) + unit
}
