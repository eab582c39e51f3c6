//go:build !linux

package format

import (
	"context"
	"errors"
)

var errNotLinux = errors.New("only Linux can be formatted")

// readMachine says that this can be done on Linux alone.
func readMachine(context.Context, *Options, *Definition) (*machine, error) { return nil, errNotLinux }

type executor struct{}

func newExecutor() *executor { return &executor{} }

func (*executor) do(context.Context, step) error { return errNotLinux }

// Ready says that this can be done on Linux alone.
func (f *Formatter) Ready(context.Context) (bool, error) { return false, errNotLinux }
