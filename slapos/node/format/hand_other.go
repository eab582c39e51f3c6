//go:build !linux

package format

import (
	"context"
	"errors"
)

var errNotLinux = errors.New("only Linux can be formatted")

// survey says that this can be done on Linux alone.
func survey(context.Context, *Options, *Definition) (*machine, error) { return nil, errNotLinux }

type hand struct{}

func newHand() *hand { return &hand{} }

func (*hand) do(context.Context, step) error { return errNotLinux }

// Ready says that this can be done on Linux alone.
func (f *Formatter) Ready(context.Context) (bool, error) { return false, errNotLinux }
