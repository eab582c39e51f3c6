package exec

import (
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Parse reads an answer; it returns the instances' names, what else is said of them, and the error
// that the answer carries.
func Parse(data []byte) (ids []string, names []string, words []string, said error, err error) {
	a, err := parse(data)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	for _, in := range a.Instances {
		ids = append(ids, in.ID)
		words = append(words, in.ProviderID, in.Address)
		for k, v := range in.Facts {
			words = append(words, k, v)
		}
	}
	if a.SSH != nil {
		words = append(words, a.SSH.Host, a.SSH.User)
	}
	if a.Error != nil {
		said = a.Error.err("x.y", compute.ID("s-1"))
	}
	return ids, a.Names, words, said, nil
}

// SetTimeout returns a provider like p whose calls may take so long.
func SetTimeout(p *Provider, d time.Duration) *Provider {
	q := *p
	q.o.Timeout = d
	return &q
}

var Open = open

type Options = options
