package ec2_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/ec2/ec2test"
)

var errDied = errors.New("the process died here")

// TestKilledAtEachStep ends every call at each of its steps, as a kill would, and lets another
// process go on: there is one instance, and nothing in the end.
func TestKilledAtEachStep(t *testing.T) {
	options := func(dir string) func(o *ec2.Options) {
		return func(o *ec2.Options) {
			o.Dir, o.Types, o.Spot = dir, []string{"m5.large", "t3.micro"}, "first"
		}
	}
	for _, calls := range []struct {
		name string
		do   func(p *ec2.Provider) error
	}{
		{"create", func(p *ec2.Provider) error {
			_, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
			return err
		}},
		{"destroy", func(p *ec2.Provider) error {
			err := p.Destroy(t.Context(), "suite-1")
			if errors.Is(err, compute.ErrNotFound) {
				return nil
			}
			return err
		}},
	} {
		for at := 0; ; at++ {
			c, url := place(t, ec2test.Options{})
			c.Empty("m5.large", "", "spot", -1)
			dir := t.TempDir()
			next := func() *ec2.Provider { return open(t, url, options(dir)) }
			if calls.name == "destroy" {
				if _, err := next().Create(t.Context(), compute.Spec{ID: "suite-1"}); err != nil {
					t.Fatal(err)
				}
				c.AddVolume(map[string]string{"hostler:installation": "here", "hostler:source": "suite", "hostler:instance": "suite-1"})
			}
			foreign := c.AddVolume(map[string]string{
				"hostler:installation": "there", "hostler:source": "suite", "hostler:instance": "suite-1",
			})
			p, n, died := next(), 0, ""
			p.SetStep(func(step string) error {
				if n++; n-1 == at {
					died = step
					return errDied
				}
				return nil
			})
			err := calls.do(p)
			if calls.name == "destroy" && died == "" { // asked; what is left is the second call's
				err = calls.do(p)
			}
			if died == "" {
				if err != nil {
					t.Errorf("%s: err = %v; want no error", calls.name, err)
				}
				if at < 2 {
					t.Errorf("%s has only %d steps", calls.name, at)
				}
				gone(t, next(), "suite-1")
				break
			}
			if !errors.Is(err, errDied) {
				t.Errorf("%s, dying at %q: %v", calls.name, died, err)
			}
			if calls.name == "create" {
				if err := calls.do(next()); err != nil {
					t.Errorf("%s again, after a death at %q: %v", calls.name, died, err)
				}
				if n := instances(c); n != 1 {
					t.Errorf("after a death at %q there are %d instances", died, n)
				}
			}
			gone(t, next(), "suite-1")
			if left := things(c); fmt.Sprint(left) != "[volume "+foreign+"]" {
				t.Errorf("%s, after a death at %q: %q", calls.name, died, left)
			}
		}
	}
}

// TestTwice has an instance made twice, as by two processes whose places to try differ: the younger
// one goes.
func TestTwice(t *testing.T) {
	c, url := place(t, ec2test.Options{Hidden: 0})
	p := open(t, url, nil)
	first, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
	if err != nil {
		t.Fatal(err)
	}
	c.Copy("suite-1")
	if n := instances(c); n != 2 {
		t.Fatalf("there are %d instances", n)
	}
	all, err := p.List(t.Context())
	if err != nil || len(all) != 1 || all[0].ProviderID != first.ProviderID {
		t.Errorf("List: %+v, %v", all, err)
	}
	until(t, "the younger one goes", func() error {
		if n := instances(c); n != 1 {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
	all, err = p.List(t.Context())
	if err != nil || len(all) != 1 || all[0].ProviderID != first.ProviderID {
		t.Errorf("List afterwards: %+v, %v", all, err)
	}
	c.Copy("suite-1")
	gone(t, p, "suite-1")
	if left := things(c); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
