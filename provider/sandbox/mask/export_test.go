//go:build linux

package mask

// PlaceIn is Place with other directories of the system.
func PlaceIn(root, first, run, shm string) (string, error) { return place(root, first, run, shm) }

// Rules returns what is to be hidden, sorted by path.
func Rules(o Options) ([]Rule, error) {
	f, err := find(o)
	if err != nil {
		return nil, err
	}
	return f.rules, nil
}

// What the tests outside of the package see of it.
var (
	Build   = build
	InHomes = secretsInHomes
	OnHost  = secretsOnHost
)
