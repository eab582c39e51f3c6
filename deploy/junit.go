package deploy

import (
	"fmt"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/run/junit"
)

// JUnit reports the scripts of nodes as tests, with a suite for each node. mask hides secrets.
func JUnit(nodes []*Node, mask func(string) string) *junit.Report {
	r := &junit.Report{}
	for _, n := range nodes {
		s := junit.Suite{Name: n.Name}
		add := func(c junit.Case) {
			c.Suite, c.Class = n.Name, n.Name
			s.Tests++
			s.Time += c.Time
			switch c.Status {
			case junit.Failed:
				s.Failures++
			case junit.Errored:
				s.Errors++
			case junit.Skipped:
				s.Skipped++
			}
			s.Cases = append(s.Cases, c)
		}
		failed := false
		for _, step := range n.Steps {
			if !step.Script {
				continue
			}
			c := junit.Case{Name: step.Name, Time: step.Took, Status: junit.Passed}
			if step.Same {
				c.Status = junit.Skipped
			}
			if step.Status != 0 {
				failed = true
				c.Status, c.Message, c.Text = junit.Failed, fmt.Sprintf("exit status %d", step.Status), mask(step.Output)
			}
			add(c)
		}
		if n.Err != nil && !failed {
			add(junit.Case{Name: "deploy", Time: n.Ended.Sub(n.Began), Status: junit.Errored, Message: mask(api.Text(n.Err))})
		} else if len(s.Cases) == 0 {
			add(junit.Case{Name: "deploy", Time: n.Ended.Sub(n.Began), Status: junit.Passed})
		}
		r.Tests, r.Failures, r.Errors, r.Skipped, r.Time = r.Tests+s.Tests, r.Failures+s.Failures, r.Errors+s.Errors,
			r.Skipped+s.Skipped, r.Time+s.Time
		r.Suites = append(r.Suites, s)
	}
	return r
}
