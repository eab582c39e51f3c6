package cloudcmd

import (
	"slices"

	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// sourcesOf returns the sources whose computers are in a deployment: the one that deploy wrote, and
// those that name it.
func (w *cloudWork) sourcesOf(name string, rec *deployment.Record) (out []string, err error) {
	if rec == nil {
		return nil, nil // no source could find anything
	}
	if clouds.HasSource(rec) {
		out = append(out, name)
	}
	cfg, err := w.app.Host.Configuration()
	if err != nil {
		return nil, err
	}
	for _, s := range cfg.Sources {
		if slices.Contains(clouds.Types(), s.Type) && s.Settings["deployment"] == name && !slices.Contains(out, s.Name) {
			out = append(out, s.Name)
		}
	}
	return out, nil
}
