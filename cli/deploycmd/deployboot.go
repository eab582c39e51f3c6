package deploycmd

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/deploy"
)

// firstBoot is how long what user data wants at the first boot is waited for.
const firstBoot = 30 * time.Minute

func bootWait(booting bool) time.Duration {
	if booting {
		return firstBoot
	}
	return 0
}

// userData is the plan for a node's first boot.
func (d *deploying) userData(v *variant, name string) ([]byte, error) {
	return v.plan.UserData(bundle.Facts{"name": name, "source": d.source}, false)
}

// boot has nodes set up at their first boot, where that was asked for.
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
			return nil // by ssh, then
		}
		return err
	}
	opt.Acquire = func(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
		leases, err := ask(ctx, req)
		// its source takes none, or not so much
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

// bundles are those that its nodes get.
func (v *variant) bundles() (out []deploy.Bundle) {
	for _, b := range v.plan.Bundles() {
		out = append(out, deploy.Bundle{Name: b.Name, Digest: b.Digest})
	}
	return out
}
