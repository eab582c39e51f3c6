package container

import "context"

// OnStep has a function called before each step; its error ends the call as a kill would.
func OnStep(p *Provider, step func(string) error) { p.step = step }

// HideLimits keeps a provider from looking at the limits of the engine's own process.
func HideLimits(p *Provider) { p.ceiling = func(context.Context) (int64, int64) { return 0, 0 } }
