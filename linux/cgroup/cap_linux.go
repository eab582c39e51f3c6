package cgroup

// Cap says what all groups of the tree together may use. It is written when the directory that
// they are in is made, and is left out where it cannot be: each group has its own limits.
// It is to be called before the tree is used.
func (t *Tree) Cap(l Limits) {
	if l.check() != nil {
		return
	}
	t.caps = nil
	for _, one := range []Limits{{CPU: l.CPU}, {Memory: l.Memory}, {PIDs: l.PIDs}} {
		if settings, err := t.settings(one); err == nil {
			t.caps = append(t.caps, settings...)
		}
	}
}

// writeCaps writes the caps that belong to a place.
func (t *Tree) writeCaps(p *place) {
	for _, s := range t.caps {
		if s.place == p {
			// none there: its controller is not enabled yet
			_ = write(p.dir+"/"+t.name+"/"+s.file, s.text)
		}
	}
}
