package promise

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/proto"
)

// told is what a master says.
type told proto.Computer

func (c *told) Computer(context.Context, string) (*proto.Computer, error) {
	return (*proto.Computer)(c), nil
}

// TestCheck asks the promises of what is wanted started, and lets no partition stop another.
func TestCheck(t *testing.T) {
	p := newPart(t)
	root := filepath.Dir(p.Dir)
	p.script("bad", "echo no; exit 1")
	write(t, filepath.Join(root, "stopped/etc/promise/bad"), "#!/bin/sh\nexit 1\n", 0o755)
	n := &Node{
		Computer: "C", MasterURL: "http://m/", InstanceRoot: root, Certificates: "/c",
		Release: func(url string) string { return filepath.Join(root, url) },
	}
	busy := func(id, state string) proto.Partition {
		return proto.Partition{Computer: "C", ID: id, State: state, Release: "soft"}
	}
	lying := busy("p0", proto.Started)
	lying.Computer = "other"
	m := &told{
		ID: "C",
		Partitions: []proto.Partition{
			busy("../p0", proto.Started), busy("none", proto.Started), busy("stopped", proto.Stopped),
			{Computer: "C", ID: "free", State: proto.Destroyed}, busy("p0", proto.Started),
		},
	}
	found, err := n.Check(t.Context(), m, nil)
	failed := map[string]error{}
	var order []string
	for _, one := range found {
		failed[one.Partition.ID] = one.Err
		order = append(order, one.Partition.ID)
	}
	if err != nil || !slices.Equal(order, []string{"../p0", "none", "p0"}) {
		t.Errorf(`found = %v, err = %v; want no error and order == []string{"../p0", "none", "p0"}`, found, err)
	}
	var f *Failure
	if !errors.As(failed["p0"], &f) || f.Message != "no" || !errors.Is(failed["none"], compute.ErrNotFound) ||
		!errors.Is(failed["../p0"], compute.ErrInvalid) {
		t.Errorf(
			"failed = %v"+
				`; want errors.As(failed["p0"], &f) and f.Message == "no" and error compute.ErrNotFound `+
				"and error compute.ErrInvalid",
			failed,
		)
	}
	p.do(os.Remove(p.at("etc/promise/bad")))
	if failed, err := n.Check(t.Context(), m, []string{"p0"}); err != nil || len(failed) != 0 {
		t.Errorf("failed = %v, err = %v; want no error and len(failed) == 0", failed, err)
	}
	if _, err := n.Check(t.Context(), m, []string{"p1"}); !errors.Is(err, compute.ErrNotFound) {
		t.Error(err)
	}
	if _, err := n.Runner(&lying); err == nil {
		t.Error("a partition of another computer is checked")
	}
}
