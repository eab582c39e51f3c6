package exec

import "github.com/hostler-project/hostler/compute"

// Parse reads an answer; it returns the instances' names and the error that the answer carries.
func Parse(data []byte) (ids []string, names []string, said error, err error) {
	a, err := parse(data)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, in := range a.Instances {
		ids = append(ids, in.ID)
	}
	if a.Error != nil {
		said = a.Error.err("x.y", compute.ID("s-1"))
	}
	return ids, a.Names, said, nil
}
