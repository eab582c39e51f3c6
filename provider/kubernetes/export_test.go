package kubernetes

// Step has a provider tell of each step before it is done; an error ends the call as a kill would.
func (p *Provider) Step(f func(string) error) { p.step = f }
