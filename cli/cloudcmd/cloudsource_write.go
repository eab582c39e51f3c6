package cloudcmd

import (
	"context"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// writeSource writes the source's files, and returns the path of its source.conf.
func (w *cloudWork) writeSource(ctx context.Context, rec *deployment.Record, o *cloudDeployOptions) (string, error) {
	root, err := userConfig(w.app)
	if err != nil {
		return "", err
	}
	files, err := o.source.written(rec, o)
	if err != nil {
		return "", err
	}
	if o.dry {
		return clouds.CheckSource(rec, root, files)
	}
	return clouds.WriteSource(ctx, w.records, rec, root, files, w.stays)
}

// stays tells that a written file was changed, and is left alone.
func (w *cloudWork) stays(path string) {
	_ = term.Printf(w.app.Err, "%s: %s stays: it was changed\n", w.app.Program, path)
}
