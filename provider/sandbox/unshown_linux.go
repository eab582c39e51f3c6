package sandbox

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"

	"github.com/hostler-project/hostler/provider/sandbox/enter"
)

// unshown are places of the host that should be shown and cannot, so that they are empty inside: a
// file system whose users cannot be mapped, one that takes no layer over it, a new mount.
type unshown struct {
	mu  sync.Mutex
	why map[string]string // by path
}

// note adds the lacks that are new, and returns them.
func (l *unshown) note(all []enter.Lack) []enter.Lack {
	if len(all) == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.why == nil {
		l.why = map[string]string{}
	}
	var fresh []enter.Lack
	for _, one := range all {
		if _, known := l.why[one.At]; !known {
			l.why[one.At] = one.Why
			fresh = append(fresh, one)
		}
	}
	return fresh
}

// all lists them by path.
func (l *unshown) all() []enter.Lack {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []enter.Lack
	for at, why := range l.why {
		out = append(out, enter.Lack{At: at, Why: why})
	}
	slices.SortFunc(out, func(a, b enter.Lack) int { return cmp.Compare(a.At, b.At) })
	return out
}

// tell logs what a sandbox lacks, each thing once.
func (l *unshown) tell(log *slog.Logger, source string, all []enter.Lack) {
	for _, one := range l.note(all) {
		log.Warn("sandboxes do not show a directory of this machine, it is empty there", "source", source, "path", one.At, "err", one.Why)
	}
}
