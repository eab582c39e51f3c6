package deploycmd

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/deploy"
)

// firstBoot is the time limit for user data at the first boot.
const firstBoot = 30 * time.Minute

func bootWait(booting bool) time.Duration {
	if booting {
		return firstBoot
	}
	return 0
}

// userData returns the user data for a node's first boot.
func (d *deploying) userData(v *variant, name string) ([]byte, error) {
	return v.plan.UserData(bundle.Facts{"name": name, "source": d.source}, false)
}

// boot lets nodes be set up at their first boot, if that is wanted.
func (d *deploying) boot(opt *deploy.Options) {
	if d.via == deploy.ViaSSH {
		return
	}
	ask := opt.Acquire
	prepare := opt.Prepare
	opt.Prepare = func(n *deploy.Node, req *compute.Request) (err error) {
		if prepare != nil {
			if err := prepare(n, req); err != nil {
				return err
			}
		}
		v := d.by[n.Name]
		if v.plan == nil {
			return nil
		}
		if req.UserData, err = d.userData(v, n.Name); d.via == deploy.ViaAuto &&
			(errors.Is(err, compute.ErrInvalid) || errors.Is(err, compute.ErrDenied)) {
			return nil // ssh is used instead
		}
		return err
	}
	opt.Acquire = func(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
		leases, err := ask(ctx, req)
		// its source accepts no user data, or not so much
		if len(req.UserData) > 0 && d.via == deploy.ViaAuto && errors.Is(err, compute.ErrInvalid) {
			req.UserData = nil
			return ask(ctx, req)
		}
		if err == nil && len(req.UserData) > 0 {
			d.booting.Store(req.Name, true)
		}
		return leases, err
	}
	if d.via == deploy.ViaUserData {
		opt.Apply = nil
	}
}

// bundles returns the bundles for the variant's nodes.
func (v *variant) bundles() (out []deploy.Bundle) {
	for _, b := range v.plan.Bundles() {
		out = append(out, deploy.Bundle{Name: b.Name, Digest: b.Digest})
	}
	return out
}
