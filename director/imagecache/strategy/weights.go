package strategy

import "path"

// Weights are the weights of images. The zero value gives each image the weight 0.
type Weights struct {
	Default int // the weight of images that have no other
	// by name, or by a pattern as for path.Match where no name is the same
	Images map[string]int
	// the same for single flavors, by name or pattern: these come first
	Flavors map[string]map[string]int
}

// Of returns the weight of an image, by its name, on a flavor.
func (w *Weights) Of(flavor, image string) int {
	if len(w.Flavors) > 0 {
		if of, ok := matching(w.Flavors, flavor); ok {
			if n, ok := matching(of, image); ok {
				return n
			}
		}
	}
	if n, ok := matching(w.Images, image); ok {
		return n
	}
	return w.Default
}

// matching finds a name, else the longest pattern that it matches, of several the first in
// alphabetical order.
func matching[V any](m map[string]V, name string) (found V, ok bool) {
	if v, ok := m[name]; ok {
		return v, true
	}
	best := ""
	for pattern, v := range m {
		if len(pattern) < len(best) || len(pattern) == len(best) && pattern > best {
			continue
		}
		if yes, _ := path.Match(pattern, name); yes {
			best, found, ok = pattern, v, true
		}
	}
	return found, ok
}

func match(pattern, name string) bool {
	yes, _ := path.Match(pattern, name)
	return yes || pattern == name
}
