package term

import (
	"strconv"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/text/units"
)

// DurationFlag is an option with a duration: Go's form, or days.
type DurationFlag struct {
	Value time.Duration
	Given bool
}

func (f *DurationFlag) String() string {
	if !f.Given {
		return ""
	}
	return f.Value.String()
}

// Set reads a duration that is not less than none.
func (f *DurationFlag) Set(s string) error {
	d, err := units.ParseDuration(s)
	if err != nil {
		return err
	}
	if d < 0 {
		return fault.Invalid("", "%s: less than none", s)
	}
	f.Value, f.Given = d, true
	return nil
}

func (f *DurationFlag) Type() string { return "D" }

// OrNone returns the duration for a request: 0 if the option was not given, negative if it is 0.
func (f *DurationFlag) OrNone() time.Duration {
	if f.Given && f.Value == 0 {
		return -1
	}
	return f.Value
}

// SizeFlag is an option with a number of bytes: 512M, 4G.
type SizeFlag struct{ Bytes int64 }

func (f *SizeFlag) String() string {
	if f.Bytes == 0 {
		return ""
	}
	return units.FormatSize(f.Bytes)
}

// Set reads a size that is not less than none.
func (f *SizeFlag) Set(s string) error {
	n, err := units.ParseSize(s)
	if err != nil {
		return err
	}
	if n < 0 {
		return fault.Invalid("", "%s: less than none", s)
	}
	f.Bytes = n
	return nil
}

func (f *SizeFlag) Type() string { return "SIZE" }

// CoresFlag is an option with a number of processors; parts of one are allowed.
type CoresFlag struct {
	Cores float64
	Given bool
}

func (f *CoresFlag) String() string {
	if !f.Given {
		return ""
	}
	return strconv.FormatFloat(f.Cores, 'f', -1, 64)
}

// Set reads a number of processors.
func (f *CoresFlag) Set(s string) error {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return err // with the words of numbers' errors
	}
	if err := (compute.Resources{Cores: n}).Check(); err != nil {
		return fault.Invalid("", "%s: not a number of processors", s)
	}
	f.Cores, f.Given = n, true
	return nil
}

func (f *CoresFlag) Type() string { return "N" }

// OrNone returns the number for a request: 0 if the option was not given, negative if it is 0.
func (f *CoresFlag) OrNone() float64 {
	if f.Given && f.Cores == 0 {
		return -1
	}
	return f.Cores
}
