package proxycmd

import (
	"context"
	"fmt"

	"github.com/hostler-project/hostler/cli/slaposcmd/usercmd"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/overview"
	"github.com/hostler-project/hostler/slapos/proto"
	slaposrecord "github.com/hostler-project/hostler/slapos/record"
)

// shownView is what `slapos proxy show` prints with --json.
type shownView struct {
	Computers  []shownComputer      `json:"computers,omitempty"`
	Software   []usercmd.SupplyView `json:"software,omitempty"`
	Partitions []shownPartition     `json:"partitions,omitempty"`
	Shared     []shownShared        `json:"shared,omitempty"`
	Network    []shownAddress       `json:"network,omitempty"`
	Waiting    []shownWaiting       `json:"waiting,omitempty"`
}

type shownWaiting struct {
	Title   string `json:"title"`
	Root    string `json:"root"`
	State   string `json:"state"`
	Shared  bool   `json:"shared"`
	Type    string `json:"type"`
	Release string `json:"release"`
	Reason  string `json:"reason"`
}

type shownComputer struct {
	Computer   string `json:"computer"`
	Address    string `json:"address"`
	Netmask    string `json:"netmask"`
	Partitions int    `json:"partitions"`
}

type shownPartition struct {
	Computer   string            `json:"computer"`
	Partition  string            `json:"partition"`
	Title      string            `json:"title,omitempty"`
	Root       string            `json:"root,omitempty"`
	State      string            `json:"state,omitempty"`
	Type       string            `json:"type,omitempty"`
	Release    string            `json:"release,omitempty"`
	Parameters map[string]string `json:"parameters,omitempty"`
}

type shownShared struct {
	Reference string `json:"reference"`
	Computer  string `json:"computer"`
	Partition string `json:"partition"`
	Type      string `json:"type"`
}

// shownOf looks at a master.
func shownOf(ctx context.Context, m *master.Master, o *showOptions) (*shownView, error) {
	v := &shownView{}
	for page := (overview.Page{Limit: shownAtOnce}); ; {
		computers, next, err := overview.Computers(ctx, m, access.Anybody, "", page)
		if err != nil {
			return nil, err
		}
		for _, c := range computers {
			if c.Record.GUID == "" { // an instance without a place is listed below
				continue
			}
			if err := v.addComputer(ctx, m, c.Record, o); err != nil {
				return nil, err
			}
		}
		if page.After = next; next == "" {
			break
		}
	}
	for page := (overview.Page{Limit: shownAtOnce}); o.partitions || o.shared; {
		waiting, next, err := overview.Instances(ctx, m, access.Anybody, overview.InstanceQuery{State: overview.Unplaced}, page)
		if err != nil {
			return nil, err
		}
		for _, n := range waiting {
			if r := n.Record; r.Shared && o.shared || !r.Shared && o.partitions {
				v.Waiting = append(v.Waiting, shownWaiting{r.Title, n.RootTitle, r.State, r.Shared, r.Type, r.Release, r.Reason})
			}
		}
		if page.After = next; next == "" {
			break
		}
	}
	return v, nil
}

// shownAtOnce is how many computers, or instances, are looked at together.
const shownAtOnce = 1000

// addComputer adds a computer and what is on it. One that was never formatted only has what is
// requested there.
func (v *shownView) addComputer(ctx context.Context, m *master.Master, record *slaposrecord.Computer, o *showOptions) error {
	c, err := m.Computers.Computer(ctx, access.Anybody, record.GUID)
	if err != nil {
		return err
	}
	if o.computers && (!record.Created.IsZero() || len(c.Partitions) > 0) {
		v.Computers = append(v.Computers, shownComputer{c.ID, record.Address, record.Netmask, len(c.Partitions)})
	}
	for _, r := range c.Releases {
		if o.software {
			v.Software = append(v.Software, usercmd.SupplyView{Release: r.URL, Computer: c.ID, State: r.State})
		}
	}
	for i := range c.Partitions {
		v.add(&c.Partitions[i], o)
	}
	for _, p := range record.Partitions {
		for _, a := range p.Addresses {
			if o.networks {
				v.Network = append(v.Network, shownAddress{c.ID, p.ID, a.Interface, a.IP, a.Netmask})
			}
		}
	}
	return nil
}

// add adds a partition, and the shared instances in it.
func (v *shownView) add(p *proto.Partition, o *showOptions) {
	if o.partitions || o.params {
		one := shownPartition{Computer: p.Computer, Partition: p.ID}
		if p.Release != "" {
			one.Title, one.Root, one.State, one.Type, one.Release = p.Title, p.RootTitle, p.State, p.Type, p.Release
		}
		if o.params && len(p.Parameters) > 0 {
			one.Parameters = map[string]string{}
			for name, value := range p.Parameters {
				one.Parameters[name] = fmt.Sprint(value)
				if value == nil {
					one.Parameters[name] = ""
				}
			}
		}
		v.Partitions = append(v.Partitions, one)
	}
	for _, n := range p.Shared {
		if o.shared {
			v.Shared = append(v.Shared, shownShared{n.Reference, p.Computer, p.ID, n.Type})
		}
	}
}
