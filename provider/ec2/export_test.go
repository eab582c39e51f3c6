package ec2

// SetStep has a test told of each step.
func (p *Provider) SetStep(f func(string) error) { p.step = f }

// SetParting replaces what an instance does before an image is made of it: those of tests are this
// machine.
func (p *Provider) SetParting(script string) { p.parting = script }

// ReasonOfCode is the reason of one of EC2's codes.
func ReasonOfCode(code string) Reason { return reason(code, false) }

// PrintedKeys finds host keys on a console.
var PrintedKeys = printedKeys
