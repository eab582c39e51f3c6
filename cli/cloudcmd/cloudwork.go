package cloudcmd

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/imagecmd"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// cloudWork is one command of cloud.
type cloudWork struct {
	app     *cli.App
	opt     *cloudOptions
	cloud   clouds.Cloud
	place   clouds.Place
	records clouds.Deployments
	keys    string
}

// openCloud opens the state and the cloud.
func openCloud(a *cli.App, ctx context.Context, o *cloudOptions) (*cloudWork, error) {
	if _, err := imagecmd.Besides(a, ctx); err != nil {
		return nil, err
	}
	state, err := host.StateDir()
	if err != nil {
		return nil, err
	}
	w := &cloudWork{app: a, opt: o, records: clouds.NewDeployments(a.Host.Store()), keys: filepath.Join(state, "keys")}
	rec, err := w.records.Deployment(ctx, o.resource(a))
	if err != nil && !errors.Is(err, compute.ErrNotFound) {
		return nil, err
	}
	if w.cloud, err = o.open(a, rec, w.keys); err != nil {
		return nil, err
	}
	w.place, err = w.cloud.Place(ctx)
	return w, err
}

// options returns the options of the deployment.
func (w *cloudWork) options(tell func(deployment.Step)) deployment.Options {
	return deployment.Options{
		Name: w.opt.resource(w.app), Installation: w.app.Host.Store().Installation(), Keys: w.keys, Store: w.records, Tell: tell,
		Log: w.app.Log,
	}
}

// lock keeps other processes of this machine from the same deployment until this one ends, and
// removes its file then.
func (w *cloudWork) lock(name string) error {
	if err := os.MkdirAll(w.keys, 0o700); err != nil {
		return err
	}
	path := deployment.KeyFile(w.keys, name) + ".lock"
	for range 20 {
		file, err := host.LockAlone(path)
		if err != nil {
			return err
		}
		if file == nil {
			break
		}
		mine, err := file.Stat()
		// its holder has just removed it
		if there, gone := os.Lstat(path); err != nil || gone != nil || !os.SameFile(mine, there) {
			_ = file.Close()
			continue
		}
		w.app.Host.OnClose(func() { _, _ = os.Remove(path), file.Close() })
		return nil
	}
	return fault.Conflict("wait until it is done", "%s: another hostler deploys it, or tears it down, at this moment", name)
}
