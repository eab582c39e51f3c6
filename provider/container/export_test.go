package container

// OnStep has a function called before each step; its error ends the call as a kill would.
func OnStep(p *Provider, step func(string) error) { p.step = step }
