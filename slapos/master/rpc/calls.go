package rpc

import (
	"cmp"
	"context"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
	slaposrecord "github.com/hostler-project/hostler/slapos/record"
)

// methods implement the JSON API; jsonapi.Methods describes their inputs.
var methods = map[string]func(s *api, c *message) (any, error){
	"slapos.get.v0.hateoas_url":                                 (*api).hateoasURL,
	"slapos.put.v0.compute_node_format":                         (*api).format,
	"slapos.put.v0.compute_node_bang":                           (*api).nodeBang,
	"slapos.post.v0.compute_node_usage":                         (*api).usage,
	"slapos.get.v0.compute_node_status":                         (*api).nodeStatus,
	"slapos.post.v0.compute_node_certificate":                   (*api).nodeCertificate,
	"slapos.remove.v0.compute_node_certificate":                 (*api).noNodeCertificate,
	"slapos.post.v0.software_installation":                      (*api).supply,
	"slapos.put.v0.software_installation_reported_state":        (*api).releaseIs,
	"slapos.put.v0.software_installation_error":                 (*api).releaseError,
	"slapos.allDocs.v0.compute_node_software_installation_list": (*api).supplies,
	"slapos.allDocs.v0.compute_node_instance_list":              (*api).instancesOn,
	"slapos.post.v0.software_instance":                          (*api).request,
	"slapos.get.v0.software_instance":                           (*api).instance,
	"slapos.get.v0.compute_partition":                           (*api).partition,
	"slapos.get.v0.instance_tree":                               (*api).tree,
	"slapos.allDocs.v0.instance_tree_list":                      (*api).trees,
	"slapos.allDocs.v0.instance_node_instance_list":             (*api).sharedOf,
	"slapos.put.v0.software_instance_reported_state":            (*api).instanceIs,
	"slapos.put.v0.software_instance_error":                     (*api).instanceError,
	"slapos.put.v0.software_instance_bang":                      (*api).bang,
	"slapos.put.v0.software_instance_title":                     (*api).rename,
	"slapos.put.v0.software_instance_connection_parameter":      (*api).connection,
	"slapos.get.v0.software_instance_certificate":               (*api).instanceCertificate,
	"slapos.allDocs.WIP.compute_node_list":                      (*api).computers,
}

// done is the answer of a method that changes something.
func done(title string, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return jsonapi.Done{Type: "success", Title: title}, nil
}

func (s *api) hateoasURL(c *message) (any, error) {
	return struct {
		URL string `json:"hateoas_url"`
	}{s.opt.Base(c.r) + strings.TrimPrefix(wire.HateoasPath, "/")}, nil
}

// format records the computer's partitions and addresses. An address without an interface gets
// the name of its partition.
func (s *api) format(c *message) (any, error) {
	now := &slaposrecord.Computer{GUID: c.Computer}
	if err := access.CheckName("computer_guid", c.Computer, access.MaxID); err != nil {
		return nil, err
	}
	for _, p := range c.Partitions {
		record := slaposrecord.Partition{ID: p.ID}
		if err := access.CheckName("partition_id in compute_partition_list", p.ID, access.MaxID); err != nil {
			return nil, err
		}
		for _, a := range p.Addresses {
			at := a.Interface
			if at == "" {
				at = p.ID
			}
			record.Addresses = append(
				record.Addresses,
				slaposrecord.PartitionAddress{Interface: at, IP: a.IP, Netmask: a.Netmask, Gateway: a.Gateway, Network: a.Network},
			)
		}
		now.Partitions = append(now.Partitions, record)
	}
	return done("Formatted", s.master.Computers.FormatAs(c.r.Context(), c.who, now))
}

func (s *api) nodeBang(c *message) (any, error) {
	return done("Ignored", s.master.Statuses.ComputerBang(c.r.Context(), c.who, c.Computer, c.Message))
}

func (s *api) usage(c *message) (any, error) {
	return done("Ignored", s.master.Usage.Keep(c.r.Context(), c.who, c.Computer, c.Usage))
}

func (s *api) nodeStatus(c *message) (any, error) {
	status, err := s.master.Statuses.ComputerStatus(c.r.Context(), c.who, c.Computer)
	if err != nil {
		return nil, err
	}
	return status.Value(), nil
}

// nodeCertificate is a new one of a computer: both texts are empty where the master has no
// authority.
func (s *api) nodeCertificate(c *message) (any, error) {
	if !s.master.Certificates.Certifies() {
		_, err := s.master.Computers.Owned(c.r.Context(), c.who, c.Computer)
		return proto.Certificate{}, err
	}
	return s.master.Certificates.ComputerCertificate(c.r.Context(), c.who, c.Computer)
}

func (s *api) noNodeCertificate(c *message) (any, error) {
	if !s.master.Certificates.Certifies() {
		_, err := s.master.Computers.Owned(c.r.Context(), c.who, c.Computer)
		return done("Ignored", err)
	}
	return done("Ignored", s.master.Certificates.RevokeComputer(c.r.Context(), c.who, c.Computer))
}

// supply sets the state of a release on a computer; without one it is available.
func (s *api) supply(c *message) (any, error) {
	if err := cmp.Or(
		access.CheckName("software_release_uri", c.Release, access.MaxURL),
		access.CheckName("computer_guid", c.Computer, access.MaxID),
	); err != nil {
		return nil, err
	}
	state := c.State
	if state == "" {
		state = proto.Available
	}
	return done("Supplied "+c.Release+" to be "+state, s.master.Computers.Supply(c.r.Context(), c.who, c.Computer, c.Release, state))
}

func (s *api) releaseIs(c *message) (any, error) {
	if c.ReportedState == proto.Destroyed {
		return done("Destroyed", s.master.Computers.ReleaseDestroyed(c.r.Context(), c.who, c.Computer, c.Release))
	}
	return done("Ignored", s.master.Statuses.ReleaseReported(c.r.Context(), c.who, c.Computer, c.Release, c.ReportedState))
}

func (s *api) releaseError(c *message) (any, error) {
	return done("Ignored", s.master.Statuses.ReleaseError(c.r.Context(), c.who, c.Computer, c.Release, c.Message))
}

func (s *api) supplies(c *message) (any, error) {
	all, err := s.master.Computers.Supplies(c.r.Context(), c.who, c.Computer)
	if err != nil {
		return nil, err
	}
	var list jsonapi.Listing
	keys := make([]string, len(all))
	for i, supply := range all {
		keys[i] = master.SupplyStatusKey(c.Computer, supply.URL)
		list.Results = append(list.Results, jsonapi.Listed{Release: supply.URL, State: supply.State})
	}
	return list, s.master.Statuses.Each(c.r.Context(), keys, func(i int, said *slaposrecord.Status) {
		list.Results[i].Trouble = master.Trouble(said)
	})
}

func (s *api) instancesOn(c *message) (any, error) {
	all, err := s.master.Instances.InstancesOn(c.r.Context(), c.who, c.Computer)
	if err != nil {
		return nil, err
	}
	var list jsonapi.Listing
	keys := make([]string, len(all))
	for i, n := range all {
		keys[i] = master.InstanceStatusKey(n.Record.ID)
		list.Results = append(
			list.Results,
			jsonapi.Listed{Title: n.Record.Title, Instance: n.Record.ID, State: n.Shown, Partition: n.Partition, Release: n.Release},
		)
	}
	return list, s.master.Statuses.Each(c.r.Context(), keys, func(i int, said *slaposrecord.Status) {
		list.Results[i].Trouble = master.Trouble(said)
	})
}

// request serves a request for an instance. Another master may answer it.
func (s *api) request(c *message) (any, error) {
	if err := cmp.Or(
		access.CheckName("title", c.Title, access.MaxTitle), access.CheckName("software_release_uri", c.Release, access.MaxURL),
	); err != nil {
		return nil, err
	}
	q := &proto.Request{
		Release: c.Release, Type: c.Type, Title: c.Title, Parameters: c.Parameters, Filter: c.Filter, State: c.State,
		Shared: c.Shared,
	}
	a, err := s.master.Requests.Request(master.RequestContext(c.r, s.opt.Base(c.r)), c.who, q)
	if err != nil {
		return nil, err
	}
	if a.Object != nil { // of another master, or what only seems to be one
		n, err := proto.ReadInstance(a.Object)
		if err != nil {
			return nil, err
		}
		n.Shared = c.Shared
		if n.State == "" {
			n.State = proto.Started
		}
		return instanceDocument(n, n.GUID, c.Title, c.Title), nil
	}
	return s.documentOf(c.r.Context(), a, c.Title)
}

func (s *api) instance(c *message) (any, error) {
	n, err := s.master.Instances.Find(c.r.Context(), c.who, c.Instance)
	return s.toNode(c.r.Context(), n, err)
}

func (s *api) partition(c *message) (any, error) {
	n, err := s.master.Instances.FindAt(c.r.Context(), c.who, c.Computer, c.Partition)
	return s.toNode(c.r.Context(), n, err)
}

// toNode is an instance with the state that its node is to bring about.
func (s *api) toNode(ctx context.Context, n *master.ListedInstance, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	n.State = n.Shown
	return s.documentOf(ctx, &n.Answer, n.RootTitle)
}

// tree is a root with the state that was asked for.
func (s *api) tree(c *message) (any, error) {
	n, err := s.master.Instances.FindTree(c.r.Context(), c.who, c.Title)
	if err != nil {
		return nil, err
	}
	d, err := s.documentOf(c.r.Context(), &n.Answer, n.RootTitle)
	if err != nil || d.AccessStatus != "" {
		return d, err
	}
	// by which its user sees that the master would tell
	d.AccessStatus = "#error no data found for " + master.GUID(n.Record)
	if n.Record.Shared {
		return d, nil
	}
	of := []string{master.SupplyStatusKey(n.Computer, n.Release)}
	return d, s.master.Statuses.Each(c.r.Context(), of, func(_ int, said *slaposrecord.Status) {
		if master.Trouble(said) != "" { // nothing can be told of it before its software is there
			d.AccessStatus = "#error its software is not there: " + said.Message
		}
	})
}

func (s *api) trees(c *message) (any, error) {
	all, err := s.master.Instances.Trees(c.r.Context(), c.who, false)
	if err != nil {
		return nil, err
	}
	var list jsonapi.Listing
	for _, n := range all {
		list.Results = append(list.Results, jsonapi.Listed{Title: n.Record.Title})
	}
	return list, nil
}

func (s *api) sharedOf(c *message) (any, error) {
	all, err := s.master.Instances.SharedOf(c.r.Context(), c.who, c.Instance)
	if err != nil {
		return nil, err
	}
	var list jsonapi.Listing
	for _, n := range all {
		list.Results = append(list.Results, jsonapi.Listed{Title: n.Record.Title, Instance: n.Record.ID, Type: n.Type,
			State: n.State, Parameters: &n.Parameters,
			Partition: n.Partition})
	}
	return list, nil
}

// instanceIs takes a node's word on the state of an instance. Only destroyed changes anything,
// and it is refused while children are placed.
func (s *api) instanceIs(c *message) (any, error) {
	if c.ReportedState != proto.Destroyed {
		return done("Ignored", s.master.Statuses.ReportedOf(c.r.Context(), c.who, c.Instance, c.ReportedState))
	}
	children, err := s.master.Instances.DestroyedOf(c.r.Context(), c.who, c.Instance)
	if err == nil && len(children) > 0 {
		err = access.Refuse(compute.ErrConflict, "%s", master.Refused(children))
	}
	return done("Destroyed", err)
}

func (s *api) instanceError(c *message) (any, error) {
	return done("Ignored", s.master.Statuses.ErrorOf(c.r.Context(), c.who, c.Instance, c.Message))
}

func (s *api) bang(c *message) (any, error) {
	return done("Bang handled", s.master.Instances.BangOf(c.r.Context(), c.who, c.Instance))
}

func (s *api) rename(c *message) (any, error) {
	if err := access.CheckName("title", c.Title, access.MaxTitle); err != nil {
		return nil, err
	}
	return done("Renamed", s.master.Instances.RenameOf(c.r.Context(), c.who, c.Instance, c.Title))
}

func (s *api) connection(c *message) (any, error) {
	return done("Updated", s.master.Instances.SetConnectionOf(c.r.Context(), c.who, c.Instance, c.Connection))
}

func (s *api) instanceCertificate(c *message) (any, error) {
	n, err := s.master.Instances.Find(c.r.Context(), c.who, c.Instance)
	if err != nil {
		return nil, err
	}
	return s.master.Certificates.InstanceCertificate(c.r.Context(), c.who, n.Record)
}

func (s *api) computers(c *message) (any, error) {
	all, err := s.master.Computers.All(c.r.Context(), c.who)
	if err != nil {
		return nil, err
	}
	var list jsonapi.Listing
	for _, computer := range all {
		list.Results = append(list.Results, jsonapi.Listed{Computer: computer.GUID})
	}
	return list, nil
}

// documentOf is one of our instances in the JSON API.
func (s *api) documentOf(ctx context.Context, a *master.Answer, rootTitle string) (*jsonapi.Document, error) {
	said, err := s.master.Statuses.InstanceRecordStatus(ctx, a.Record)
	if err != nil {
		return nil, err
	}
	d := instanceDocument(&a.Instance, a.Record.ID, a.Record.Title, rootTitle)
	d.ProcessingStamp = a.Stamp
	switch {
	case a.Partition == "" && a.Record.Reason != "":
		d.AccessStatus = "#error no place: " + a.Record.Reason
	case said != nil:
		d.AccessStatus = master.StatusText(said)
	}
	return d, nil
}

func instanceDocument(n *proto.Instance, guid, title, rootTitle string) *jsonapi.Document {
	d := &jsonapi.Document{Title: title, GUID: guid, Release: n.Release, Type: n.Type, State: n.State,
		Connection: n.Connection, Parameters: n.Parameters,
		Shared: n.Shared, RootTitle: rootTitle, Filter: proto.Dictionary{}, Computer: n.Computer, Partition: n.Partition}
	for _, a := range n.Addresses {
		d.Addresses = append(d.Addresses, [2]string{a.Interface, a.IP})
	}
	for _, a := range n.FullAddresses {
		d.FullAddresses = append(d.FullAddresses, [5]string{a.Interface, a.IP, a.Gateway, a.Netmask, a.Network})
	}
	return d
}
