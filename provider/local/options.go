package local

// Options are those of a source of type local. It has no keys of its own.
type Options struct {
	Source       string // the source's name; "": local
	Installation string // the installation's id, a part of the mark
	// the source's own directory; "": nothing is noted, and each Clean searches all processes
	Dir string
}

// Check returns nil, as there are no keys.
func (o Options) Check() error { return nil }
