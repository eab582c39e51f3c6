package cgroup

import (
	"context"
	"os"
	"strconv"
	"testing"
)

// What all groups of a tree may use together is limited, beside what each may.
func TestCap(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("cap: only root makes groups here")
	}
	tree, err := Find("hostler-test-cap-" + strconv.Itoa(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	can := tree.Can()
	if can.PIDs != nil || can.Memory != nil {
		t.Skip("cap: ", can.PIDs, can.Memory)
	}
	tree.LimitAll(Limits{Memory: 512 << 20, PIDs: 300})
	g, err := tree.Make(t.Context(), "one", Limits{Memory: 64 << 20, PIDs: 100})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_, _ = g.Remove(ctx), g.Close()
		if err := tree.Remove(ctx); err != nil {
			t.Error(err)
		}
	})
	for _, s := range tree.limits {
		if s.optional {
			continue
		}
		if n, err := number(s.place.dir + "/" + tree.name + "/" + s.file); err != nil || strconv.FormatInt(n, 10) != s.text {
			t.Errorf("%s: %d, %v; want %s", s.file, n, err, s.text)
		}
	}
}
