package node_test

import (
	"os"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/linux/cgroup"
	"github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/node/nodetest"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto"
)

// The programs of a partition that has limits run in a control group of its name, whatever the
// partition says of itself, and those of another do not.
func TestLimits(t *testing.T) {
	tree, err := cgroup.Find("hostler-test-node")
	if err == nil {
		err = tree.Can().PIDs
	}
	if err != nil {
		t.Skip("processes cannot be limited here: ", err)
	}
	l := newLab(t, 2)
	l.agent.Limits = map[string]supervise.Limits{"p0": {PIDs: 64}}
	l.Light(
		"/r",
		"cat >input; echo '{}' >.slapos-resource\n"+nodetest.Service(
			"s", "cat /proc/self/cgroup >where.new; mv where.new where; exec sleep 1003",
		),
	)
	l.ask("one", "/r", proto.Started, nil)
	l.ask("two", "/r", proto.Started, nil)
	l.run(0, node.Options{})
	where := func(id string) string {
		text, _ := os.ReadFile(l.At(id, "where"))
		return string(text)
	}
	l.Until("both services to run", func() bool { return where("p0") != "" && where("p1") != "" })
	if !strings.Contains(where("p0"), "/p0\n") || strings.Contains(where("p1"), "/p0\n") {
		t.Errorf("p0 runs in %q, and p1, which has no limits, in %q", where("p0"), where("p1"))
	}
	for _, id := range []string{"p0", "p1"} {
		do(t, l.Supervisor.Remove(t.Context(), id))
	}
}
