package ec2_test

import (
	"errors"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/ec2/ec2test"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

// TestFlavorSets has classes of hardware: the next one is taken at once where one has no capacity,
// which is then left alone; and when none has any, the first is asked again.
func TestFlavorSets(t *testing.T) {
	c, url := place(t, ec2test.Options{})
	p := open(t, url, func(o *ec2.Options) { o.Types, o.Sets, o.Order = nil, "^m5; ^c5,^c6; ^t3", "listed" })
	made := func(id compute.ID, spec compute.Spec, want string, calls int) {
		t.Helper()
		spec.ID = id
		before := c.Calls("RunInstances")
		in, err := p.Create(t.Context(), spec)
		if n := c.Calls("RunInstances") - before; err != nil || in.Facts["type"] != want || n != calls {
			t.Errorf("%s: %q after %d calls, %v, want %s after %d", id, in.Facts["type"], n, err, want, calls)
		}
	}
	made("suite-1", compute.Spec{}, "m5.large", 1)
	c.Empty("m5.large", "", "on-demand", -1)
	made("suite-2", compute.Spec{}, "c5.xlarge", 2)
	made("suite-3", compute.Spec{}, "c5.xlarge", 1)
	// another type of that class
	made("suite-4", compute.Spec{Cores: 4, Memory: 16 << 30}, "m5.xlarge", 1)
	made("suite-5", compute.Spec{Flavor: "t3.micro"}, "t3.micro", 1)
	c.Empty("c5.xlarge", "", "on-demand", -1)
	c.Empty("t3.nano", "", "on-demand", -1)
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-6"}); !errors.Is(err, compute.ErrNoCapacity) ||
		session.ReasonOf(err) != session.NoHardware || !provider.WasUnasked(err) {
		t.Errorf("nothing has room: %v", err)
	}
	c.Heal()
	made("suite-7", compute.Spec{}, "m5.large", 1) // the first again
	made("suite-8", compute.Spec{}, "m5.large", 1) // which has room again
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-9", GPUs: 1}); !errors.Is(err, compute.ErrTooLarge) ||
		compute.Hint(err) == "" {
		t.Errorf("what no class has: %v", err)
	}

	cheapest := open(t, url, func(o *ec2.Options) { o.Types, o.Sets, o.Source, o.Memory = nil, "^m5;^c5;^t3", "cheap", 4<<30 })
	c.Empty("m5.large", "", "on-demand", -1)
	if in, err := cheapest.Create(t.Context(), compute.Spec{ID: "cheap-1"}); err != nil || in.Facts["type"] != "c5.xlarge" {
		t.Errorf("the cheapest first: %v, %v", in.Facts, err)
	}
}

func TestFlavorSetsOptions(t *testing.T) {
	for name, change := range map[string]func(*ec2.Options){
		"types too":      func(o *ec2.Options) { o.Sets = "^m5;^c5" },
		"an expression":  func(o *ec2.Options) { o.Types, o.Sets = nil, "^(" },
		"an order":       func(o *ec2.Options) { o.Types, o.Sets, o.Order = nil, "^m5", "dearest" },
		"a type's regex": func(o *ec2.Options) { o.Types, o.Match = nil, "^(" },
	} {
		o := ec2.Options{Source: "suite", Installation: "here", Dir: t.TempDir(), Types: []string{"t3.micro"}}
		change(&o)
		if _, err := ec2.Open(t.Context(), nil, o); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("%s: err = %v; want error compute.ErrInvalid", name, err)
		}
	}
}
