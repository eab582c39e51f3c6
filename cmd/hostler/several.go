package main

import (
	"context"
	"os"
	"strings"
	"sync"
)

// common is a store that several controllers share. All of them serve; the one that has the lead
// directs.
//
// The lead keeps work from being done twice, and nothing depends on it: what a director wants is
// done by transactions that look again. One that creates says how many there are to be in all, one
// that discards, stops or starts takes an instance only as it is now, ready and not used since. So
// a controller that was paused in the midst of its directive, and wakes when another directs, does
// it if it is still right, and else nothing. What it had begun to make is recorded under its
// worker's number, which is not dead as long as its connection stands; if the server has cut that,
// others have taken the record over, and it finds so at its next step.
type common interface {
	// Lead tries to have the lead until ctx ends, and tells when it was got and lost.
	Lead(ctx context.Context, told func(leads bool))
	// Leads tells whether we have it now.
	Leads() bool
	// Listen calls heard when another has written, until ctx ends.
	Listen(ctx context.Context, heard func())
}

// share does what there is to do where a controller may have others beside it, until ctx ends.
func (k *controller) share(ctx context.Context, directs bool) {
	c, ok := k.app.store.(common)
	if !ok {
		return
	}
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		c.Listen(ctx, func() {
			k.now.Load().engine.Ring() // whoever waits with an older configuration looks by himself
			k.want()
			k.others.ring()
		})
	})
	if directs {
		c.Lead(ctx, func(leads bool) {
			if leads {
				k.app.Log.Info("directing", "store", k.app.at)
				k.want()
			} else if ctx.Err() == nil {
				k.app.Log.Info("not directing any more", "store", k.app.at)
			}
		})
	}
}

// leads tells whether this controller directs: the only one on its store does.
func (k *controller) leads() bool {
	c, ok := k.app.store.(common)
	return !ok || c.Leads()
}

// want says that there may be something to make.
func (k *controller) want() {
	k.wanted.ring()
}

// whereabouts names what sees the same processes as this one: a machine, or a container on it.
func whereabouts() string {
	name, _ := os.Hostname() // without a name the next tells most
	space, _ := os.Readlink("/proc/self/ns/pid")
	return strings.TrimSpace(name + " " + space)
}
