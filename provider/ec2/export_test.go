package ec2

// SetStep has a test told of each step.
func (p *Provider) SetStep(f func(string) error) { p.session.Step = f }

// SetParting replaces what an instance does before an image is made of it: those of tests are this
// machine.
func (p *Provider) SetParting(script string) { p.parting = script }

// PrintedKeys finds host keys on a console.
var PrintedKeys = printedKeys
