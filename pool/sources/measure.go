package sources

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/share"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/provider"
)

// Measure completes the size of a new instance of a source with `share`, by asking the computer
// itself.
func (p *Providers) Measure(ctx context.Context, u *allocate.Grant) error {
	facts := u.Instance.Facts
	var err error
	if o := p.Ready(u.Instance.SourceKey); o != nil && (facts["cores"] == "" || facts["memory"] == "" || facts["disk"] == "") {
		err = p.ask(ctx, o, u.Instance)
	}
	has, known := share.SizeOf(u.Instance.Facts)
	if !known {
		return errors.Join(allocate.SizeUnknown(u.Instance.ID), err)
	}
	p.LearnSize(u)
	if least := u.Demand.Amount(); !share.Of(has).Has(least) {
		return allocate.SmallerThan(u.Instance.ID, has, least)
	}
	return nil
}

// ask fills in facts that an instance's provider did not give.
func (p *Providers) ask(ctx context.Context, o *Opened, i *compute.Instance) error {
	return Await(ctx, state.BootPatience, time.Time{}, func(ctx context.Context) error {
		c, err := o.Provider.Connect(ctx, i.ID)
		if err != nil {
			return err
		}
		defer c.Close()
		inf, ok := provider.As[provider.FactReader](c)
		if !ok {
			return nil
		}
		f, err := inf.Facts(ctx)
		if err != nil {
			return err
		}
		facts := map[string]string{}
		for name, n := range map[string]int64{"cores": int64(f.Cores), "memory": f.Memory, "disk": f.Disk} {
			if n > 0 {
				facts[name] = fmt.Sprint(n)
			}
		}
		for name, v := range i.Facts {
			facts[name] = v
		}
		i.Facts = facts
		return nil
	})
}
