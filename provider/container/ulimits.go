package container

import (
	"context"
	"slices"
)

// ladder lists the limits to try where an engine's own are higher than this machine allows: Podman
// raises them, for which a process needs CAP_SYS_RESOURCE. 0 stands for the limits of the engine's
// own process.
var ladder = [...]struct{ files, processes int64 }{{0, 0}, {4096, 4096}, {1000, 1000}}

// ulimits returns the limits for the request: the source's own, and for Podman explicit ones for
// files and processes, unless they are set.
func (m *maker) ulimits(ctx context.Context, rung int) []ulimit {
	out := slices.Clone(m.p.plan.ulimits)
	a, err := m.p.eng.ask(ctx)
	if err != nil || a.name != "podman" && rung == 0 {
		return out
	}
	want := ladder[min(max(rung, 0), len(ladder)-1)]
	if rung == 0 {
		want.files, want.processes = m.p.ceiling(ctx)
	}
	add := func(name string, n int64) {
		if n > 0 && !slices.ContainsFunc(out, func(u ulimit) bool { return u.Name == name }) {
			out = append(out, ulimit{name, n, n})
		}
	}
	add("nofile", want.files)
	add("nproc", want.processes)
	return out
}
