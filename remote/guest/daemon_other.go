//go:build !linux

package guest

import (
	"context"

	"github.com/hostler-project/hostler/remote/detached"
)

func lend(string, []string) (bool, error) { return false, invalid("no daemons on this system") }

// lent is the place of a daemon, of which there are none here.
type lent struct {
	Place
	kept   *detached.Conn
	ending func()
}

func openLent(string) (*lent, error) { return nil, invalid("no daemons on this system") }

func (p *lent) rest(context.Context) {}
