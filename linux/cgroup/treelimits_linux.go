package cgroup

// LimitAll limits all groups of the tree together. The limits are written when the directory
// above the groups is made. Those that this machine does not support are left out: each group
// has its own limits. Call it before the tree is used.
func (t *Tree) LimitAll(l Limits) {
	if l.check() != nil {
		return
	}
	t.limits = nil
	for _, one := range []Limits{{CPU: l.CPU}, {Memory: l.Memory}, {PIDs: l.PIDs}} {
		if settings, err := t.settings(one); err == nil {
			t.limits = append(t.limits, settings...)
		}
	}
}

// writeLimits writes the limits that belong to a place.
func (t *Tree) writeLimits(p *place) {
	for _, s := range t.limits {
		if s.place == p {
			// the file is missing: its controller is not enabled yet
			_ = write(p.dir+"/"+t.name+"/"+s.file, s.text)
		}
	}
}
