package main

import (
	"strconv"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
)

// durationFlag is an option with a duration as config reads them: Go's, and days.
type durationFlag struct {
	d   time.Duration
	set bool
}

func (f *durationFlag) String() string {
	if !f.set {
		return ""
	}
	return f.d.String()
}

func (f *durationFlag) Set(s string) error {
	d, err := config.ParseDuration(s)
	if err != nil {
		return err
	}
	if d < 0 {
		return invalid("", "%s: less than none", s)
	}
	f.d, f.set = d, true
	return nil
}

func (f *durationFlag) Type() string { return "D" }

// orNone is the duration as a request has it: 0 where the source decides, negative where the user said 0.
func (f *durationFlag) orNone() time.Duration {
	if f.set && f.d == 0 {
		return -1
	}
	return f.d
}

// sizeFlag is an option with a number of bytes: 512M, 4G.
type sizeFlag struct{ n int64 }

func (f *sizeFlag) String() string {
	if f.n == 0 {
		return ""
	}
	return config.FormatSize(f.n)
}

func (f *sizeFlag) Set(s string) error {
	n, err := config.ParseSize(s)
	if err != nil {
		return err
	}
	if n < 0 {
		return invalid("", "%s: less than none", s)
	}
	f.n = n
	return nil
}

func (f *sizeFlag) Type() string { return "SIZE" }

// coresFlag is an option with a number of processors, parts of one too.
type coresFlag struct {
	n   float64
	set bool
}

func (f *coresFlag) String() string {
	if !f.set {
		return ""
	}
	return strconv.FormatFloat(f.n, 'f', -1, 64)
}

func (f *coresFlag) Set(s string) error {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return err // which is said in the words that all numbers have
	}
	if err := (compute.Amount{Cores: n}).Check(); err != nil {
		return invalid("", "%s: not a number of processors", s)
	}
	f.n, f.set = n, true
	return nil
}

func (f *coresFlag) Type() string { return "N" }

// orNone is the number as a request has it: 0 where nothing was said, negative where the user said 0.
func (f *coresFlag) orNone() float64 {
	if f.set && f.n == 0 {
		return -1
	}
	return f.n
}
