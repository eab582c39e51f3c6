package pool

import "github.com/hostler-project/hostler/compute"

// choice is what a request wants other than its source's own; "": the source's.
type choice struct {
	image, flavor, location, userData string

	exact bool // the names are whole: no beginnings, and no numbers in a list
}

func choiceOf(req compute.Request) choice {
	c := choice{image: req.Image, flavor: req.Flavor, location: req.Location, userData: string(req.UserData)}
	// the policy for others was applied to the names that they gave
	c.exact = c != choice{} && !req.Own
	return c
}
