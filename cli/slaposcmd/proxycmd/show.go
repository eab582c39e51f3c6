package proxycmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/slaposcmd/usercmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/overview"
	"github.com/hostler-project/hostler/slapos/proto"
	slaprecord "github.com/hostler-project/hostler/slapos/record"
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

type shownAddress struct {
	Computer  string `json:"computer"`
	Partition string `json:"partition"`
	Interface string `json:"interface"`
	Address   string `json:"address"`
	Netmask   string `json:"netmask"`
}

// showOptions is what is to be shown; none of it: all.
type showOptions struct {
	database                                                  string
	computers, software, partitions, shared, params, networks bool
}

func newShow(s *session.Session) *cobra.Command {
	o := &showOptions{}
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show what a master of one's own keeps",
		Long: `Show what hostler slapos proxy start keeps, as tables: all of them, or those that are asked for. The master may run. On a terminal they go through $PAGER, where that is set.
Parameters may be secrets. Connection parameters are not shown.`,
		Example: "  hostler slapos proxy show --cfg slapos.cfg\n  hostler slapos proxy show -u /srv/slapos/master.db --partitions --slaves",
		Args:    cobra.NoArgs,
		RunE:    s.RunE(func(ctx context.Context, _ []string) error { return runShow(ctx, s, o) }),
	}
	f := cmd.Flags()
	f.StringVarP(
		&o.database, "database-uri", "u", "",
		"the master keeps everything in `FILE`; or in the PostgreSQL database of that address, or reference to it",
	)
	f.BoolVar(&o.computers, "computers", false, "show computers")
	f.BoolVar(&o.software, "software", false, "show releases that are wanted on computers, or wanted away")
	f.BoolVar(&o.partitions, "partitions", false, "show partitions, the instances in them, and such as have no place")
	f.BoolVar(&o.shared, "slaves", false, "show shared instances")
	f.BoolVar(&o.params, "params", false, "show the parameters of instances")
	f.BoolVar(&o.networks, "network", false, "show the addresses of partitions")
	_ = cmd.MarkFlagFilename("database-uri")
	return cmd
}

func runShow(ctx context.Context, s *session.Session, o *showOptions) error {
	f, err := s.NodeFileIfThere()
	if err != nil {
		return err
	}
	if o.database, err = storeAddress(f, o.database); err != nil {
		return err
	}
	if _, err := os.Stat(o.database); inFile(o.database) && errors.Is(err, fs.ErrNotExist) {
		return &compute.Error{
			Op: "show", ID: compute.ID(o.database), Kind: compute.ErrNotFound, Err: errors.New("there is no such file"),
			Hint: "--database-uri names that of the master",
		}
	}
	store, end, err := openStore(ctx, s, o.database)
	if err != nil {
		return err
	}
	defer end()
	m, err := master.New(ctx, master.Options{Store: store})
	if err != nil {
		return err
	}
	if !o.computers && !o.software && !o.partitions && !o.shared && !o.params && !o.networks {
		o.computers, o.software, o.partitions, o.shared, o.params, o.networks = true, true, true, true, true, true
	}
	v, err := shownOf(ctx, m, o)
	if err != nil {
		return err
	}
	if s.App.JSON {
		return s.App.PrintJSON(v)
	}
	var b bytes.Buffer
	if err := v.tables(&b, o); err != nil {
		return err
	}
	return paged(ctx, s, b.Bytes())
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
func (v *shownView) addComputer(ctx context.Context, m *master.Master, record *slaprecord.Computer, o *showOptions) error {
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

// tables writes what is to be shown.
func (v *shownView) tables(b *bytes.Buffer, o *showOptions) error {
	var computers, software, partitions, shared, params, network, waiting [][]string
	for _, c := range v.Computers {
		computers = append(computers, []string{c.Computer, c.Address, c.Netmask, fmt.Sprint(c.Partitions)})
	}
	for _, r := range v.Software {
		software = append(software, []string{r.Computer, r.State, r.Release})
	}
	for _, p := range v.Partitions {
		partitions = append(partitions, []string{p.Computer, p.Partition, p.State, p.Title, p.Root, p.Type, p.Release})
		for _, name := range slices.Sorted(maps.Keys(p.Parameters)) {
			params = append(params, []string{p.Computer, p.Partition, name, p.Parameters[name]})
		}
	}
	for _, n := range v.Shared {
		shared = append(shared, []string{n.Reference, n.Computer, n.Partition, n.Type})
	}
	for _, a := range v.Network {
		network = append(network, []string{a.Computer, a.Partition, a.Interface, a.Address, a.Netmask})
	}
	for _, n := range v.Waiting {
		waiting = append(waiting, []string{n.Title, n.Root, n.State, n.Type, n.Release, n.Reason})
	}
	for _, t := range []struct {
		wanted bool
		title  string
		header []string
		rows   [][]string
	}{
		{o.computers, "Computers", []string{"COMPUTER", "ADDRESS", "NETMASK", "PARTITIONS"}, computers},
		{o.software, "Software", []string{"COMPUTER", "STATE", "RELEASE"}, software},
		{o.partitions, "Partitions", []string{"COMPUTER", "PARTITION", "STATE", "TITLE", "ROOT", "TYPE", "RELEASE"}, partitions},
		{o.shared, "Shared instances", []string{"REFERENCE", "COMPUTER", "PARTITION", "TYPE"}, shared},
		{o.params, "Parameters", []string{"COMPUTER", "PARTITION", "NAME", "VALUE"}, params},
		{o.networks, "Addresses", []string{"COMPUTER", "PARTITION", "INTERFACE", "ADDRESS", "NETMASK"}, network},
		{len(waiting) > 0, "Without a place", []string{"TITLE", "ROOT", "STATE", "TYPE", "RELEASE", "REASON"}, waiting},
	} {
		if !t.wanted {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(b, "%s: %d\n", t.title, len(t.rows))
		if len(t.rows) == 0 {
			continue
		}
		if err := term.Table(b, t.header, t.rows); err != nil {
			return err
		}
	}
	return nil
}

// paged prints a text: on a terminal by $PAGER, where that is set.
func paged(ctx context.Context, s *session.Session, text []byte) error {
	out, ok := s.App.Out.(*os.File)
	pager := os.Getenv("PAGER")
	if !ok || !term.IsTerminal(out) || pager == "" {
		_, err := s.App.Out.Write(text)
		return err
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", pager)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), out, s.App.Err
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("$PAGER: %w", err)
	}
	return nil
}
