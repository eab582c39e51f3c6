package promise

import "github.com/hostler-project/hostler/slapos/node/home"

// Last is what the promises of a partition said last, in the order of [Runner.Run]; one that has
// said nothing yet is left out. Nothing is run.
func Last(d *home.Dir) ([]Result, error) {
	all, err := find(d, func(string, ...any) {})
	if err != nil {
		return nil, err
	}
	kept, err := openStateDir(d)
	if err != nil || kept == nil {
		return nil, err
	}
	defer kept.Close()
	var out []Result
	for i := range all {
		p := &all[i]
		if p.remember(d, kept); p.last != nil {
			out = append(out, *p.last)
		}
	}
	return out, nil
}
