//go:build linux

package vm_test

import (
	"slices"
	"testing"

	"github.com/hostler-project/hostler/provider/vm"
)

// TestThrottled boots a machine with limits of input and output, and asks its qemu whether its
// disks have them. The log tells how fast the machine then reads.
func TestThrottled(t *testing.T) {
	o := lab(t)
	o.Dir, o.Network, o.IO, o.IOPS = t.TempDir(), "none", 4<<20, 500
	p := open(t, o)
	create(t, p, "suite-1")
	c := connect(t, p, "suite-1")
	sh(t, c, "echo it works >/var/tmp/file && sync && cat /var/tmp/file")
	if got := nodes(t, p); !slices.Equal(got, []string{"disk-io", "seed-io"}) {
		t.Errorf("its disks are %q", got)
	}
	var group limits
	args := map[string]string{"path": "/objects/io", "property": "limits"}
	if err := p.Ask(t.Context(), "suite-1", "qom-get", args, &group); err != nil {
		t.Fatal(err)
	}
	if group != (limits{4 << 20, 500}) {
		t.Errorf("they have %+v", group)
	}
	t.Log(sh(t, c, "dd if=/dev/vda of=/dev/null bs=1M count=24 iflag=direct 2>&1 | tail -1"))
}

// limits are what qemu tells of a group of disks.
type limits struct {
	Bytes      int64 `json:"bps-total"`
	Operations int64 `json:"iops-total"`
}

// nodes are those that the devices of an instance have as their disks.
func nodes(t *testing.T, p *vm.Provider) (out []string) {
	t.Helper()
	var all []struct {
		Inserted struct {
			Node string `json:"node-name"`
		}
	}
	if err := p.Ask(t.Context(), "suite-1", "query-block", nil, &all); err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		out = append(out, one.Inserted.Node)
	}
	slices.Sort(out)
	return out
}
