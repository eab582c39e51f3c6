package standalone

// Surplus, Remove and Forget are what a start does with partitions of before.
func (l *Layout) Surplus() ([]string, error) { return l.surplusPartitions() }

func (l *Layout) Remove(names []string) error { return l.remove(names) }

func (l *Layout) Forget() error { return l.forget() }
