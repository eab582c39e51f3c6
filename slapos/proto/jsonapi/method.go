package jsonapi

import "slices"

import (
	"github.com/hostler-project/hostler/slapos/proto"
)

// A Method is a method of the JSON API: a POST to /NAME with a [Call]. States are the texts that it
// takes as state or reported_state.
type Method struct {
	Name               string
	Required, Optional []string
	States             []string
}

// The longest title of an instance, in characters.
const maxTitle = 200

// ReportedBuilding is the state that a node reports of a release that it is installing; the others
// are [Available], [Destroyed], and of instances [Started] and [Stopped].
const ReportedBuilding = "building"

// Methods are the methods of the JSON API.
func Methods() []Method { return slices.Clone(methods) }

// FindMethod is the method of that name.
func FindMethod(name string) (*Method, bool) {
	for i := range methods {
		if methods[i].Name == name {
			return &methods[i], true
		}
	}
	return nil, false
}

var (
	installationStates = []string{proto.Available, proto.Destroyed}
	instanceStates     = []string{proto.Started, proto.Stopped, proto.Destroyed}
)

var methods = []Method{
	{Name: "slapos.get.v0.hateoas_url"},
	{Name: "slapos.put.v0.compute_node_format", Required: []string{"computer_guid", "compute_partition_list"}},
	{Name: "slapos.put.v0.compute_node_bang", Required: []string{"computer_guid", "message"}},
	{Name: "slapos.post.v0.compute_node_usage", Required: []string{"computer_guid", "tioxml"}},
	{Name: "slapos.get.v0.compute_node_status", Required: []string{"computer_guid"}},
	{Name: "slapos.post.v0.compute_node_certificate", Required: []string{"computer_guid"}},
	{Name: "slapos.remove.v0.compute_node_certificate", Required: []string{"computer_guid"}},
	{
		Name: "slapos.post.v0.software_installation", Required: []string{"software_release_uri", "computer_guid"},
		Optional: []string{"state"}, States: installationStates,
	},
	{Name: "slapos.put.v0.software_installation_reported_state",
		Required: []string{"software_release_uri", "computer_guid", "reported_state"},
		States:   []string{ReportedBuilding, proto.Available, proto.Destroyed}},
	{Name: "slapos.put.v0.software_installation_error", Required: []string{"software_release_uri", "computer_guid", "message"}},
	{Name: "slapos.allDocs.v0.compute_node_software_installation_list", Required: []string{"computer_guid"}},
	{Name: "slapos.allDocs.v0.compute_node_instance_list", Required: []string{"computer_guid"}},
	{Name: "slapos.post.v0.software_instance", Required: []string{"title", "software_release_uri", "software_type"},
		Optional: []string{"parameters", "state", "shared", "sla_parameters"}, States: instanceStates},
	{Name: "slapos.get.v0.software_instance", Required: []string{"instance_guid"}},
	{Name: "slapos.get.v0.compute_partition", Required: []string{"computer_guid", "compute_partition_id"}},
	{Name: "slapos.get.v0.instance_tree", Required: []string{"title"}},
	{Name: "slapos.allDocs.v0.instance_tree_list"},
	{Name: "slapos.allDocs.v0.instance_node_instance_list", Required: []string{"instance_guid"}},
	{Name: "slapos.put.v0.software_instance_reported_state", Required: []string{"instance_guid", "reported_state"}, States: instanceStates},
	{Name: "slapos.put.v0.software_instance_error", Required: []string{"instance_guid", "message"}},
	{Name: "slapos.put.v0.software_instance_bang", Required: []string{"instance_guid", "message"}},
	{Name: "slapos.put.v0.software_instance_title", Required: []string{"instance_guid", "title"}},
	{Name: "slapos.put.v0.software_instance_connection_parameter", Required: []string{"instance_guid", "connection_parameter_dict"}},
	{Name: "slapos.get.v0.software_instance_certificate", Required: []string{"instance_guid"}},
	{Name: "slapos.allDocs.WIP.compute_node_list"},
}

// callKeys are the keys that some method takes.
var callKeys = func() map[string]bool {
	all := map[string]bool{}
	for _, m := range methods {
		for _, key := range append(slices.Clone(m.Required), m.Optional...) {
			all[key] = true
		}
	}
	return all
}()
