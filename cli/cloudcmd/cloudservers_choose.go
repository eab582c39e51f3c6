package cloudcmd

import (
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// chosen returns the servers to destroy.
func (o *cloudServersOptions) chosen(all []deployment.ServerInfo) (out []deployment.ServerInfo, err error) {
	want := o.destroy
	if o.confirm && !o.all {
		want = o.id
	}
	if want != "" {
		s, err := deployment.FindServer(all, want)
		if err != nil {
			return nil, err
		}
		if o.confirm && s.Problem == "" {
			return nil, fault.Conflict(
				"hostler cloud servers --destroy "+s.Name, "%s: it is %s, and not suspected to be dead", s.Name,
				s.Status,
			)
		}
		return []deployment.ServerInfo{s}, nil
	}
	for _, s := range all {
		if o.confirm && s.Problem != "" {
			out = append(out, s)
		}
	}
	return out, nil
}
