//go:build !linux

package agentcmd

import (
	"context"

	"github.com/hostler-project/hostler/remote/detached"
)

func handToDaemon(string, []string) (bool, error) { return false, invalid("no daemons on this system") }

// daemonState is the place of a daemon, of which there are none here.
type daemonState struct {
	Place
	kept   *detached.Conn
	ending func()
}

func openDaemon(string) (*daemonState, error) { return nil, invalid("no daemons on this system") }

func (p *daemonState) endWhenIdle(context.Context) {}
