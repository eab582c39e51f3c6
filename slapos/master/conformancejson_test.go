package master_test

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/hostler-project/hostler/slapos/proto"
)

// required shows that a method wants each of its keys, refuses others, and names them.
func required(name string, pairs ...string) rule {
	r := rule{"1.4", "the keys of " + name, nil}
	object := func(leave int, more string) string {
		var all []string
		for i := 0; i < len(pairs); i += 2 {
			if i != leave {
				all = append(all, fmt.Sprintf("%q: %s", pairs[i], pairs[i+1]))
			}
		}
		if more != "" {
			all = append(all, more)
		}
		return "{" + strings.Join(all, ", ") + "}"
	}
	failed := func(body, says string) step {
		return method(name, body).is(400, "status=400", "type=Bad Request", "~"+says, "@Content-Type=application/json")
	}
	for i := 0; i < len(pairs); i += 2 {
		r.steps = append(
			r.steps, failed(object(i, ""), pairs[i]), failed(object(i, fmt.Sprintf("%q: 5", pairs[i])), pairs[i]),
			failed(object(i, fmt.Sprintf("%q: null", pairs[i])), pairs[i]),
		)
	}
	r.steps = append(r.steps, failed(object(-1, `"surplus": 1`), "surplus"), failed("", ""), failed("[]", ""), failed("null", ""), failed("{", ""), failed(object(-1, "")+"x", ""),
		look("/slapos."+name).is(405), step{method: "PUT", path: "/slapos." + name, status: 405},
		step{
			method: "POST", path: "/slapos." + name, kind: "application/json", body: object(-1, ""), accept: "text/html",
			status: 406, want: []string{"status=406", "type=Not Acceptable"},
		})
	return r
}

const (
	texts  = `"x"`
	nodeJ  = `{"computer_guid": "J", "compute_partition_list": [{"partition_id": "p0", "ip_list": [{"ip-address": "10.0.0.1", "network-interface": "tap0", "netmask": "255.255.255.255"}], "more": 1}, {"partition_id": "p1"}]}`
	askedA = `{"title": "a", "software_release_uri": "u", "software_type": "t", "sla_parameters": {"computer_guid": "J"}, "parameters": {"k": "v", "n": 5, "b": true, "z": null}}`
)

// formatted is a computer J with two partitions; asked an instance a in the first, kept as guid.
var (
	formatted = method("put.v0.compute_node_format", nodeJ).is(200, "type=success", "title=Formatted")
	asked     = method("post.v0.software_instance", askedA).is(200, "guid:=instance_guid")
)

var rulesOfJSON = []rule{
	required("put.v0.compute_node_format", "computer_guid", texts, "compute_partition_list", "[]"),
	required("put.v0.compute_node_bang", "computer_guid", texts, "message", texts),
	required("post.v0.compute_node_usage", "computer_guid", texts, "tioxml", texts),
	required("get.v0.compute_node_status", "computer_guid", texts),
	required("post.v0.compute_node_certificate", "computer_guid", texts),
	required("remove.v0.compute_node_certificate", "computer_guid", texts),
	required("post.v0.software_installation", "software_release_uri", texts, "computer_guid", texts),
	required(
		"put.v0.software_installation_reported_state", "software_release_uri", texts, "computer_guid", texts,
		"reported_state", `"available"`,
	),
	required("put.v0.software_installation_error", "software_release_uri", texts, "computer_guid", texts, "message", texts),
	required("allDocs.v0.compute_node_software_installation_list", "computer_guid", texts),
	required("allDocs.v0.compute_node_instance_list", "computer_guid", texts),
	required("post.v0.software_instance", "title", texts, "software_release_uri", texts, "software_type", texts),
	required("get.v0.software_instance", "instance_guid", texts),
	required("get.v0.compute_partition", "computer_guid", texts, "compute_partition_id", texts),
	required("get.v0.instance_tree", "title", texts),
	required("allDocs.v0.instance_node_instance_list", "instance_guid", texts),
	required("put.v0.software_instance_reported_state", "instance_guid", texts, "reported_state", `"started"`),
	required("put.v0.software_instance_error", "instance_guid", texts, "message", texts),
	required("put.v0.software_instance_bang", "instance_guid", texts, "message", texts),
	required("put.v0.software_instance_title", "instance_guid", texts, "title", texts),
	required("put.v0.software_instance_connection_parameter", "instance_guid", texts, "connection_parameter_dict", "{}"),
	required("get.v0.software_instance_certificate", "instance_guid", texts),
	required("get.v0.hateoas_url"), required("allDocs.v0.instance_tree_list"), required("allDocs.WIP.compute_node_list"),

	{"1.4", "what a text may be", []step{formatted,
		method(
			"post.v0.software_installation", `{"software_release_uri": "u", "computer_guid": "J", "state": "started"}`,
		).is(400, "~state"),
		method(
			"put.v0.software_installation_reported_state",
			`{"software_release_uri": "u", "computer_guid": "J", "reported_state": "started"}`,
		).is(400, "~reported_state"),
		method(
			"post.v0.software_instance",
			`{"title": "a", "software_release_uri": "u", "software_type": "t", "state": "available"}`,
		).is(400, "~state"),
		method(
			"put.v0.software_instance_reported_state", `{"instance_guid": "x", "reported_state": "building"}`,
		).is(400, "~reported_state"),
		method(
			"post.v0.software_instance",
			`{"title": "`+strings.Repeat("é", 201)+`", "software_release_uri": "u", "software_type": "t"}`,
		).is(400, "~title"),
		method(
			"post.v0.software_instance",
			`{"title": "`+strings.Repeat("é", 200)+`", "software_release_uri": "u", "software_type": "t", "sla_parameters": {"computer_guid": "J"}}`,
		).is(200),
		method(
			"post.v0.software_instance",
			`{"title": "a", "software_release_uri": "u", "software_type": "t", "sla_parameters": {"computer_guid": 5}}`,
		).is(400, "~sla_parameters"),
		method(
			"post.v0.software_instance",
			`{"title": "a", "software_release_uri": "u", "software_type": "t", "sla_parameters": {"retention_delay": "x"}}`,
		).is(400, "~retention_delay"),
		method(
			"post.v0.software_instance",
			`{"title": "a", "software_release_uri": "u", "software_type": "t", "shared": "yes"}`,
		).is(400, "~shared"),
		method(
			"post.v0.software_instance",
			`{"title": "a", "software_release_uri": "u", "software_type": "t", "parameters": []}`,
		).is(400, "~parameters"),
		method(
			"put.v0.compute_node_format", `{"computer_guid": "J", "compute_partition_list": [{"ip_list": []}]}`,
		).is(400, "~partition_id"),
		method(
			"put.v0.compute_node_format",
			`{"computer_guid": "J", "compute_partition_list": [{"partition_id": "p", "ip_list": [{}]}]}`,
		).is(400, "~ip-address"),
		method(
			"put.v0.compute_node_format",
			`{"computer_guid": "J", "compute_partition_list": [{"partition_id": "p"}, {"partition_id": "p"}]}`,
		).is(400, "~p"),
		method("put.v0.compute_node_format", `{"computer_guid": "", "compute_partition_list": []}`).is(400, "~computer_guid"),
		method("put.v0.software_instance_title", `{"instance_guid": "x", "title": "\u0001"}`).is(400, "~title"),
		method("get.v0.software_instance", `{"instance_guid": "`+strings.Repeat("-", 1<<20)+`"}`).is(403),
		method(
			"post.v0.software_instance",
			`{"title": "a", "software_release_uri": "u", "software_type": "t", "parameters": {"k": "\u0001"}}`,
		).is(400, "~k")}},
	{"1.4", "the URL of the hypermedia API", []step{method("get.v0.hateoas_url", "{}").is(200, "hateoas_url={base}hateoas/", "#1")}},
	{"1.4", "an unknown method", []step{method("get.v0.nothing", "{}").is(404)}},
	{
		"1.4", "who accepts JSON among others",
		[]step{{
			method: "POST", path: "/slapos.get.v0.hateoas_url", kind: "application/json; charset=utf-8", body: "{}",
			accept: "text/html, application/*;q=0.5", status: 200,
		}},
	},
	{"1.4", "a computer is formatted", []step{formatted, part("J", "p0").is(200, "_partition_id=p0"), method("allDocs.WIP.compute_node_list", "{}").is(
		200, "result_list#1", "result_list/0/computer_guid=J", "result_list/0#1",
	),
		asked, part("J", "p0").is(200, "_parameter_dict/ip_list/0/0=tap0", "_parameter_dict/ip_list/0/1=10.0.0.1")}},
	{"1.4", "addresses with a gateway are full ones", []step{
		method(
			"put.v0.compute_node_format",
			`{"computer_guid": "J", "compute_partition_list": [{"partition_id": "p0", "ip_list": [{"ip-address": "10.0.0.1", "network-interface": "n", "netmask": "255.0.0.0", "gateway-ip-address": "10.0.0.254", "network-address": "10.0.0.0"}]}]}`,
		).is(200),
		asked,
		method("get.v0.software_instance", `{"instance_guid": "{guid}"}`).is(
			200, "full_ip_list/0#5", "full_ip_list/0/0=n", "full_ip_list/0/1=10.0.0.1", "full_ip_list/0/2=10.0.0.254",
			"ip_list#0",
		)}},
	{"1.4", "what a computer says of itself", []step{formatted, method(
		"put.v0.compute_node_bang", `{"computer_guid": "J", "message": "m"}`,
	).is(200, "title=Ignored"), method(
		"put.v0.compute_node_bang", `{"computer_guid": "K", "message": "m"}`,
	).is(403, "title=K is not registered."),
		method("get.v0.compute_node_status", `{"computer_guid": "J"}`).is(200, "text?"),
		method("get.v0.compute_node_status", `{"computer_guid": "K"}`).is(403, "title=K is not registered."),
		method("post.v0.compute_node_usage", `{"computer_guid": "J", "tioxml": "<journal/>x"}`).is(400),
		method(
			"post.v0.compute_node_usage",
			`{"computer_guid": "J", "tioxml": "<?xml version='1.0' encoding='utf-8'?><journal></journal>"}`,
		).is(200, "title=Ignored"),
		method("post.v0.compute_node_certificate", `{"computer_guid": "J"}`).is(200, "key=", "certificate=", "#2"),
		method("post.v0.compute_node_certificate", `{"computer_guid": "K"}`).is(403),
		method("remove.v0.compute_node_certificate", `{"computer_guid": "J"}`).is(200, "title=Ignored"),
		method("remove.v0.compute_node_certificate", `{"computer_guid": "K"}`).is(403)}},
	{"1.4", "a supply", []step{formatted, method(
		"post.v0.software_installation", `{"software_release_uri": "u", "computer_guid": "J"}`,
	).is(200, "title=Supplied u to be available"),
		method("allDocs.v0.compute_node_software_installation_list", `{"computer_guid": "J"}`).is(
			200, "result_list#1", "result_list/0/software_release_uri=u", "result_list/0/state=available",
			"result_list/0#2",
		),
		method(
			"put.v0.software_installation_reported_state",
			`{"software_release_uri": "u", "computer_guid": "J", "reported_state": "building"}`,
		).is(200, "title=Ignored"),
		method(
			"put.v0.software_installation_reported_state",
			`{"software_release_uri": "u", "computer_guid": "J", "reported_state": "available"}`,
		).is(200, "title=Ignored"),
		method(
			"put.v0.software_installation_error", `{"software_release_uri": "u", "computer_guid": "J", "message": "m"}`,
		).is(200, "title=Ignored"),
		method(
			"put.v0.software_installation_reported_state",
			`{"software_release_uri": "u", "computer_guid": "J", "reported_state": "destroyed"}`,
		).is(403),
		method(
			"post.v0.software_installation", `{"software_release_uri": "u", "computer_guid": "J", "state": "destroyed"}`,
		).is(200, "title=Supplied u to be destroyed"),
		method(
			"put.v0.software_installation_reported_state",
			`{"software_release_uri": "u", "computer_guid": "J", "reported_state": "destroyed"}`,
		).is(200, "title=Destroyed"),
		method("allDocs.v0.compute_node_software_installation_list", `{"computer_guid": "J"}`).is(200, "result_list#0"),
		method(
			"allDocs.v0.compute_node_software_installation_list", `{"computer_guid": "K"}`,
		).is(403, "title=K is not registered.", "status=403", "type=Forbidden")}},
	{"1.4", "the document of an instance", []step{formatted, asked,
		method(
			"get.v0.software_instance", `{"instance_guid": "{guid}"}`,
		).is(200, "#16", "title=a", "instance_guid={guid}", "software_release_uri=u", "software_type=t", "state=started", "connection_parameters#0", "parameters/k=v", "parameters/n=5",
			"parameters/b=True", "parameters/z=None", "shared=false", "root_instance_title=a", "ip_list/0/0=tap0", "ip_list/0/1=10.0.0.1", "full_ip_list#0", "sla_parameters#0", "computer_guid=J", "compute_partition_id=p0",
			"processing_timestamp?", "access_status_message=", "@Content-Type=application/json"),
		method("get.v0.compute_partition", `{"computer_guid": "J", "compute_partition_id": "p0"}`).is(200, "#16", "instance_guid={guid}"),
		method("get.v0.instance_tree", `{"title": "a"}`).is(200, "#16", "instance_guid={guid}"),
		method("get.v0.software_instance", `{"instance_guid": "J-p0"}`).is(200, "instance_guid={guid}"),
		method("get.v0.software_instance", `{"instance_guid": "a______0"}`).is(200, "instance_guid={guid}")}},
	{"1.4", "two changes have two timestamps", []step{formatted, method("post.v0.software_instance", askedA).is(
		200, "guid:=instance_guid", "stamp:=processing_timestamp",
	),
		method("post.v0.software_instance", askedA).is(200, "processing_timestamp={stamp}"),
		method("put.v0.software_instance_bang", `{"instance_guid": "{guid}", "message": "m"}`).is(200, "title=Bang handled"),
		method("get.v0.software_instance", `{"instance_guid": "{guid}"}`).is(200, "processing_timestamp!={stamp}")}},
	{"1.4", "a shared instance has the same document everywhere", []step{formatted, asked,
		method(
			"post.v0.software_instance",
			`{"title": "s", "software_release_uri": "u", "software_type": "t", "shared": true, "sla_parameters": {"computer_guid": "J"}, "parameters": {"p": "q"}}`,
		).is(
			200, "shared=true", "one:=instance_guid", "stamp:=processing_timestamp", "ip_list/0/1=10.0.0.1",
			"compute_partition_id=p0", "#16",
		),
		method("get.v0.software_instance", `{"instance_guid": "{one}"}`).is(
			200, "shared=true", "processing_timestamp={stamp}", "ip_list/0/1=10.0.0.1", "parameters/p=q",
			"state=started",
		),
		method("allDocs.v0.instance_node_instance_list", `{"instance_guid": "{guid}"}`).is(
			200, "result_list#1", "result_list/0#6", "result_list/0/title=s", "result_list/0/instance_guid={one}",
			"result_list/0/software_type=t", "result_list/0/state=started", "result_list/0/parameters/p=q",
			"result_list/0/compute_partition_id=p0",
		),
		method("allDocs.v0.instance_tree_list", "{}").is(
			200, "result_list#2", "result_list/0/title=a", "result_list/1/title=s", "result_list/0#1",
		),
		method(
			"put.v0.software_instance_connection_parameter",
			`{"instance_guid": "{one}", "connection_parameter_dict": {"url": "w", "n": 5}}`,
		).is(200, "title=Updated"),
		method("get.v0.software_instance", `{"instance_guid": "{one}"}`).is(
			200, "connection_parameters/url=w", "connection_parameters/n=5",
		)}},
	{"1.4", "the instances of a computer", []step{formatted, asked, method(
		"allDocs.v0.compute_node_instance_list", `{"computer_guid": "J"}`,
	).is(200, "result_list#1", "result_list/0#5", "result_list/0/title=a", "result_list/0/instance_guid={guid}",
		"result_list/0/state=started", "result_list/0/compute_partition_id=p0", "result_list/0/software_release_uri=u"), method(
		"allDocs.v0.compute_node_instance_list", `{"computer_guid": "K"}`,
	).is(403, "title=K is not registered.")}},
	{"1.4", "an instance that is not there", []step{formatted, method(
		"get.v0.compute_partition", `{"computer_guid": "J", "compute_partition_id": "p1"}`,
	).is(403, "title=No instance on partition p1 found."),
		method(
			"get.v0.compute_partition", `{"computer_guid": "K", "compute_partition_id": "p1"}`,
		).is(403, "title=No instance on partition p1 found."),
		method("get.v0.instance_tree", `{"title": "none"}`).is(403, "title=No instance tree none found."),
		method("get.v0.software_instance", `{"instance_guid": "x"}`).is(403, "title=No software instance x found."),
		method("put.v0.software_instance_bang", `{"instance_guid": "x", "message": "m"}`).is(403),
		method("put.v0.software_instance_title", `{"instance_guid": "x", "title": "m"}`).is(403),
		method("put.v0.software_instance_error", `{"instance_guid": "x", "message": "m"}`).is(403),
		method("put.v0.software_instance_reported_state", `{"instance_guid": "x", "reported_state": "destroyed"}`).is(403),
		method("put.v0.software_instance_connection_parameter", `{"instance_guid": "x", "connection_parameter_dict": {}}`).is(403),
		method("get.v0.software_instance_certificate", `{"instance_guid": "x"}`).is(403),
		method("allDocs.v0.instance_node_instance_list", `{"instance_guid": "x"}`).is(403)}},
	{
		"1.4", "no place",
		[]step{method("post.v0.software_instance", askedA).is(403, "title=No free computer partition found for: a", "detail?")},
	},
	{"1.4", "what a node says of an instance", []step{formatted, asked, method(
		"put.v0.software_instance_reported_state", `{"instance_guid": "{guid}", "reported_state": "started"}`,
	).is(200, "title=Ignored"),
		method("get.v0.software_instance", `{"instance_guid": "{guid}"}`).is(200, "access_status_message=#access started"),
		method("put.v0.software_instance_error", `{"instance_guid": "{guid}", "message": "bad"}`).is(200, "title=Ignored"),
		method("get.v0.software_instance", `{"instance_guid": "{guid}"}`).is(200, "access_status_message=#error bad"),
		method(
			"put.v0.software_instance_reported_state", `{"instance_guid": "{guid}", "reported_state": "destroyed"}`,
		).is(200, "title=Destroyed"),
		method("get.v0.software_instance", `{"instance_guid": "{guid}"}`).is(403),
		part("J", "p0").is(200, "_requested_state=destroyed")}},
	{"1.4", "a new title keeps the GUID", []step{formatted, asked, method(
		"put.v0.software_instance_title", `{"instance_guid": "{guid}", "title": "b"}`,
	).is(200, "title=Renamed"), method("get.v0.software_instance", `{"instance_guid": "{guid}"}`).is(200, "title=b"),
		method("get.v0.instance_tree", `{"title": "a"}`).is(403),
		method("get.v0.instance_tree", `{"title": "b"}`).is(200, "instance_guid={guid}")}},
	{"2.3", "absent parameters are empty ones", []step{formatted, asked, method(
		"post.v0.software_instance",
		`{"title": "a", "software_release_uri": "u", "software_type": "t", "state": "stopped"}`,
	).is(200, "state=stopped", "parameters/k=v"),
		method(
			"post.v0.software_instance",
			`{"title": "a", "software_release_uri": "u", "software_type": "t", "state": "stopped"}`,
		).is(200, "state=stopped", "parameters#0")}},
	{"2.5", "a destruction that must wait is refused", []step{formatted, asked, want("b", "from", "J p0", "f.computer_guid", "J").is(200),
		method(
			"post.v0.software_instance",
			`{"title": "a", "software_release_uri": "u", "software_type": "t", "state": "destroyed"}`,
		).is(200, "state=destroyed"),
		method("get.v0.software_instance", `{"instance_guid": "{guid}"}`).is(200, "state=stopped"),
		method("get.v0.instance_tree", `{"title": "a"}`).is(200, "state=destroyed"),
		method("allDocs.v0.compute_node_instance_list", `{"computer_guid": "J"}`).is(
			200, "result_list/0/state=stopped", "result_list/1/state=destroyed",
		),
		method(
			"put.v0.software_instance_reported_state", `{"instance_guid": "{guid}", "reported_state": "destroyed"}`,
		).is(403, "title=Not destroying yet because this partition has child partitions: b"),
		method("put.v0.software_instance_reported_state", `{"instance_guid": "J-p1", "reported_state": "destroyed"}`).is(200),
		method("get.v0.software_instance", `{"instance_guid": "{guid}"}`).is(200, "state=destroyed"),
		method("put.v0.software_instance_reported_state", `{"instance_guid": "{guid}", "reported_state": "destroyed"}`).is(200),
		method("allDocs.v0.instance_tree_list", "{}").is(200, "result_list#0")}},
}

func search(query, rest string) step {
	return look("/hateoas/?mode=search&query=" + url.QueryEscape(query) + rest)
}

const (
	trees     = `portal_type:"Instance Tree" AND validation_state:validated`
	computers = `portal_type:"Compute Node" AND validation_state:validated`
)

var rulesOfHypermedia = []rule{
	{
		"1.5", "where clients begin",
		[]step{
			look("/hateoas/").is(
				200, "_links/raw_search/href={base}hateoas/?mode=search&query={query}&select_list={select_list}",
				"_links/traverse/href={base}hateoas/?mode=traverse&relative_url={relative_url}&view={view}",
			),
			look("/hateoas").is(200, "_links?"),
		},
	},
	{"1.5", "trees are found", []step{format("C", "p0", "p1"), want("a b/é").is(200), want("child", "from", "C p0").is(200), want("s", "shared", "yes").is(200),
		search(trees, "&select_list=title,url_string").is(
			200, "_embedded/contents#2", "_embedded/contents/0#3", "_embedded/contents/0/title=a b/é",
			"_embedded/contents/0/url_string="+demo,
			"_embedded/contents/0/relative_url=/hateoas/partitions/a%20b%2F%C3%A9", "_embedded/contents/1/title=s",
		),
		search(trees+` AND title:="s"`, "&select_list=title").is(200, "_embedded/contents#1", "_embedded/contents/0/title=s"),
		search(trees+` AND title:="none"`, "").is(200, "_embedded/contents#0"),
		search(trees, "&limit=1").is(200, "_embedded/contents#1"), search(trees, "&limit=-1").is(400, "~limit"),
		look(
			"/hateoas/?mode=traverse&view=slaposjs_view&relative_url=%2Fhateoas%2Fpartitions%2Fs",
		).is(302, "@Location=/hateoas/partitions/s")}},
	{"1.5", "no secrets are found", []step{format("C", "p0"), want("a", "p.password", "hidden").is(200), tell(
		"setComputerPartitionConnectionXml", "computer_id", "C", "computer_partition_id", "p0", "connection_xml",
		value(proto.Dictionary{"key": "hidden"}),
	).is(200),
		search(trees, "&select_list=title,xml,connection_xml,text_content").is(200, "!~hidden", "_embedded/contents#1")}},
	{"1.5", "the document of a tree", []step{format("C", "p0"), want("a", "p.k", "v").is(200), tell(
		"setComputerPartitionConnectionXml", "computer_id", "C", "computer_partition_id", "p0", "connection_xml",
		value(proto.Dictionary{"url": "w"}),
	).is(200),
		look("/hateoas/partitions/a").is(200, "_links/type/name=Instance Tree", "_embedded/_view/form_id?", "_embedded/_view/my_reference/default=a", "_embedded/_view/my_slap_state/default=started", "_embedded/_view/my_url_string/default="+demo,
			"_embedded/_view/my_source_reference/default=default", "_embedded/_view/my_root_slave/default=0", "_embedded/_view/my_connection_parameter_list/default?", "_embedded/_view/my_reference/type=StringField", "_embedded/_view/my_reference/key?"),
		look("/hateoas/partitions/none").is(404)}},
	{
		"1.5", "the document of a shared tree",
		[]step{
			format("C", "p0"), want("a").is(200), want("s", "shared", "yes").is(200),
			look("/hateoas/partitions/s").is(
				200, "_embedded/_view/my_slap_state/default=unused", "_embedded/_view/my_root_slave/default=1",
			),
		},
	},
	{
		"1.5", "a search goes on when a host is gone",
		[]step{
			format("C", "p0"), want("a").is(200), want("s", "shared", "yes").is(200),
			reports("destroyed", "C", "p0").is(200, "~OK"),
			search(trees, "&select_list=title").is(200, "_embedded/contents#1", "_embedded/contents/0/title=s"),
			look("/hateoas/?mode=search").is(400),
		},
	},
	{"1.5", "computers are found", []step{format("C", "p0"), format("D"), search(computers, "&select_list=title,reference").is(
		200, "_embedded/contents#2", "_embedded/contents/0/reference=C",
		"_embedded/contents/0/relative_url=/hateoas/computers/C",
	),
		search(computers+` AND reference:="D"`, "&select_list=reference").is(
			200, "_embedded/contents#1", "_embedded/contents/0/reference=D",
		),
		look("/hateoas/computers/C").is(
			200, "_links/type/name=Computer", "_embedded/_view/my_reference/default=C",
			"_embedded/_view/my_title/default?",
		),
		look("/hateoas/computers/E").is(404)}},
	{"1.5", "instances and releases are found", []step{format("C", "p0", "p1"), want("a").is(200), want("b", "from", "C p0").is(200), supply("available").is(200),
		search(
			`portal_type:("Software Instance", "Slave Instance") AND validation_state:validated AND default_specialise_title:="a"`,
			"&select_list=title",
		).is(200, "_embedded/contents#2"),
		search(
			`portal_type:"Software Installation" AND validation_state:validated AND default_aggregate_reference:="C"`,
			"&select_list=url_string",
		).is(200, "_embedded/contents/0/url_string="+demo)}},
	{
		"1.5", "another query is refused",
		[]step{search(`portal_type:"X"`, "").is(400, `~Unhandled query: portal_type:"X"`), search(trees+" OR 1=1", "").is(400)},
	},
	{
		"1.5", "links lead nowhere else",
		[]step{
			look("/hateoas/?mode=traverse&relative_url=https%3A%2F%2Fevil.example%2F").is(400),
			look("/hateoas/?mode=traverse&relative_url=%2F%2Fevil.example%2Fhateoas%2F").is(400),
		},
	},
}
