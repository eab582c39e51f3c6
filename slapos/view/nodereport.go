package view

import (
	"cmp"
	"slices"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/slapos/proto/nodereport"
)

// addNodeReport puts what a node told of its partitions to the slots that its computer has:
// promises that failed first.
func addNodeReport(slots []api.SlapPartition, told []nodereport.Partition) {
	for _, p := range told {
		i := slices.IndexFunc(slots, func(s api.SlapPartition) bool { return s.Partition == p.ID })
		if i < 0 {
			continue
		}
		for _, of := range p.Processes {
			slots[i].Programs = append(
				slots[i].Programs,
				api.SlapProgram{
					Name: of.Name, State: of.State, PID: of.PID,
					Started: timeOrNull(of.Started), CPU: of.CPU, Memory: of.Memory,
				},
			)
		}
		for _, of := range p.Promises {
			slots[i].Promises = append(
				slots[i].Promises,
				api.SlapPromise{
					Name: of.Name, Failed: of.Failed, Text: of.Text,
					At: timeOrNull(of.At), Hours: of.Hours, Until: timeOrNull(of.Until),
				},
			)
		}
		slices.SortStableFunc(slots[i].Promises, func(a, b api.SlapPromise) int { return cmp.Compare(rank(a.Failed), rank(b.Failed)) })
	}
}

func rank(failed bool) int {
	if failed {
		return 0
	}
	return 1
}
