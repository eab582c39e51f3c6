package master_test

import (
	"github.com/hostler-project/hostler/slapos/proto"
)

// state is what a node is told of a partition.
func state(partition, is string) step { return part("C", partition).is(200, "_requested_state="+is) }

// free is a partition with nothing in it.
func free(partition string) step {
	return part("C", partition).is(200, "_need_modification=0", "!_parameter_dict")
}

func connect(partition, reference string, d proto.Dictionary) step {
	return tell(
		"setComputerPartitionConnectionXml", "computer_id", "C", "computer_partition_id", partition, "connection_xml",
		value(d), "slave_reference", reference,
	)
}

func rename(partition, reference, title string) step {
	return tell(
		"softwareInstanceRename", "computer_id", "C", "computer_partition_id", partition, "slave_reference", reference,
		"new_name", title,
	)
}

func bang(partition string) step {
	return tell("softwareInstanceBang", "computer_id", "C", "computer_partition_id", partition, "message", "m")
}

// stamped keeps the timestamp of a partition under its name; later the step later(partition) says
// that it has another one, and same that it has not.
func stamped(partition string) step {
	return part("C", partition).is(200, partition+":=_parameter_dict/timestamp")
}

func later(partition string) step {
	return part("C", partition).is(200, "_parameter_dict/timestamp!={"+partition+"}")
}

func same(partition string) step {
	return part("C", partition).is(200, "_parameter_dict/timestamp={"+partition+"}")
}

var rulesOfRequests = []rule{
	{
		"2.2", "a configuration again changes nothing",
		[]step{
			format("C", "p0", "p1"), want("a", "p.k", "v").is(200), stamped("p0"), format("C", "p0", "p1"), same("p0"),
			part("C", "p0").is(200, "_parameter_dict/k=v"),
		},
	},
	{"2.2", "partitions that are not listed are gone, others stay", []step{format("C", "p0", "p1"), want("a").is(200), want("b").is(200), format("C", "p1", "p2"), part("C", "p0").is(404), state("p1", "started"), free("p2"),
		told("C").is(200, "_computer_partition_list#2", "_computer_partition_list/0/_partition_id=p1"),
		want("b").is(200, "slap_computer_partition_id=p1"), want("a").is(200, "slap_computer_partition_id=p2")}},
	{
		"2.2", "addresses are written anew",
		[]step{
			format("C", "p0", "p1"), want("a").is(200), format("C", "p1", "p0"),
			part("C", "p0").is(200, "_parameter_dict/ip_list#1", "_parameter_dict/ip_list/0/1=10.0.0.2"),
		},
	},
	{"2.2", "a partition without a tap gives its own name", []step{tell("loadComputerConfigurationFromXML", "xml", value(proto.Dictionary{"reference": "C", "address": "1", "netmask": "2", "software_root": "x", "partition_list": proto.List{
		proto.Dictionary{
			"reference": "p0", "tap": proto.Dictionary{"name": ""},
			"address_list": proto.List{proto.Dictionary{"addr": "10.0.0.1", "netmask": "255"}},
		}}})).is(200), want("a").is(200, "ip_list/0/0=p0")}},
	{"2.2", "two partitions of one name", []step{tell("loadComputerConfigurationFromXML", "xml", value(proto.Dictionary{"reference": "C", "address": "1", "netmask": "2", "partition_list": proto.List{
		proto.Dictionary{"reference": "p0", "tap": proto.Dictionary{"name": ""}, "address_list": proto.List{}},
		proto.Dictionary{"reference": "p0", "tap": proto.Dictionary{"name": ""}, "address_list": proto.List{}}}})).is(400, "~p0")}},
	{
		"2.2", "a computer without a name",
		[]step{tell(
			"loadComputerConfigurationFromXML", "xml",
			value(proto.Dictionary{"reference": "", "address": "1", "netmask": "2", "partition_list": proto.List{}}),
		).is(400, "~reference")},
	},

	{
		"2.3", "1: an unknown partition asks as a user does",
		[]step{format("C", "p0", "p1"), want("a", "from", "C p9").is(200), want("a").is(200, "slap_computer_partition_id=p0")},
	},
	{"2.3", "1: a child asks in its tree", []step{format("C", "p0", "p1", "p2"), want("a").is(200), want("b", "from", "C p0").is(200), want("c", "from", "C p1").is(200), part("C", "p2").is(
		200, "_parameter_dict/root_instance_title=a",
	),
		want("b", "from", "C p1").is(200, "slap_computer_partition_id=p1"),
		want("c", "from", "C p0").is(200, "slap_computer_partition_id=p2")}},
	{"2.3", "2: one title in two trees are two instances", []step{format("C", "p0", "p1", "p2", "p3"), want("a").is(200), want("b").is(200), want("x", "from", "C p0").is(200, "slap_computer_partition_id=p2"), want("x", "from", "C p1").is(200, "slap_computer_partition_id=p3"),
		want("x", "from", "C p0").is(200, "slap_computer_partition_id=p2")}},
	{
		"2.3", "2: another release is an upgrade in place",
		[]step{
			format("C", "p0", "p1"), want("a", "p.k", "v").is(200), stamped("p0"),
			want("a", "software_release", "new", "p.k", "v").is(200, "slap_computer_partition_id=p0", "slap_software_release_url=new"),
			later("p0"), free("p1"),
		},
	},
	{
		"2.3", "2: another type is not another instance",
		[]step{
			format("C", "p0"), want("a").is(200),
			want("a", "software_type", "t").is(200, "slap_computer_partition_id=p0", "slap_software_type=t"),
		},
	},
	{
		"2.3", "2: another filter moves nothing",
		[]step{format("C", "p0"), format("D", "q0"), want("a").is(200), want("a", "f.computer_guid", "D").is(200, "slap_computer_id=C")},
	},
	{
		"2.3", "3: the first free partition",
		[]step{
			format("C", "p9", "p1", "p5"), want("a").is(200, "slap_computer_partition_id=p9"),
			want("b").is(200, "slap_computer_partition_id=p1"), reports("destroyed", "C", "p9").is(200),
			want("c").is(200, "slap_computer_partition_id=p9"),
		},
	},
	{
		"2.3", "3: the computer of the filter",
		[]step{
			format("C", "p0"), format("D", "q0"),
			want("a", "f.computer_guid", "D").is(200, "slap_computer_id=D", "slap_computer_partition_id=q0"),
			want("b", "f.computer_guid", "E").is(404, "~No free computer partition found for: b"),
		},
	},
	{
		"2.3", "3: no supply is needed",
		[]step{format("C", "p0"), want("a", "software_release", "never supplied").is(200), told("C").is(200, "_software_release_list#0")},
	},
	{
		"2.3", "3: no room",
		[]step{
			format("C", "p0"), want("a").is(200),
			want("b").is(404, "~No free computer partition found for: b", "~(all 1 partitions of C are in use)"),
			format("C", "p0", "p1"), want("b").is(200, "slap_computer_partition_id=p1"),
		},
	},
	{
		"2.3", "4: a child is what its root is",
		[]step{
			format("C", "p0", "p1"), want("a").is(200), want("b", "from", "C p0").is(200),
			want("a", "state", "stopped").is(200),
			want("b", "from", "C p0", "state", "started").is(200, "_requested_state=stopped"), state("p1", "stopped"),
		},
	},
	{
		"2.3", "4: a child that is new in a stopped tree is stopped",
		[]step{
			format("C", "p0", "p1"), want("a", "state", "stopped").is(200),
			want("b", "from", "C p0").is(200, "_requested_state=stopped"), state("p1", "stopped"),
			want("a", "state", "started").is(200), state("p1", "started"),
		},
	},
	{"2.3", "4 Ours: a stop is carried to all of the tree at once", []step{format("C", "p0", "p1", "p2"), want("a").is(200), want("b", "from", "C p0").is(200), want("c", "from", "C p1").is(200), stamped("p1"), stamped("p2"), want("a", "state", "stopped").is(200),
		state("p0", "stopped"), state("p1", "stopped"), state("p2", "stopped"), later("p1"), later("p2")}},
	{"2.3", "4: what was stopped by itself stays so", []step{format("C", "p0", "p1", "p2"), want("a").is(200), want(
		"b", "from", "C p0", "state", "stopped",
	).is(200), want("c", "from", "C p0").is(200), want("a", "state", "stopped").is(200), want("a", "state", "started").is(200),
		state("p1", "stopped"), state("p2", "started")}},
	{"2.3", "4: a request by another than its parent does not stop it", with(family, shared("s", "from", "C p0").is(200), want(
		"b", "from", "C p0", "state", "stopped",
	).is(200), state("p3", "stopped"), want("c", "from", "C p1").is(200, "_requested_state=started"), state("p2", "started"),
		want("d", "from", "C p2").is(200, "_requested_state=stopped"), state("p3", "stopped"), want(
			"b", "from", "C p0", "state", "destroyed",
		).is(200), want("c", "from", "C p1", "state", "started").is(200, "_requested_state=started"), state("p2", "started"),
		shared("s", "from", "C p1").is(200), part("C", "p0").is(
			200, "_parameter_dict/slave_instance_list#1",
		), want("new", "from", "C p1").is(404), want("a", "state", "stopped").is(200), want(
			"c", "from", "C p1", "state", "started",
		).is(200, "_requested_state=stopped"))},
	{
		"2.3", "5: no state keeps the present one",
		[]step{
			format("C", "p0"), want("a", "state", "stopped").is(200), stamped("p0"),
			want("a").is(200, "_requested_state=started"), state("p0", "stopped"), same("p0"),
		},
	},
	{"2.3", "5: a new one is started", []step{format("C", "p0"), want("a").is(200, "_requested_state=started"), state("p0", "started")}},
	{
		"2.3", "6: the same again changes nothing",
		[]step{
			format("C", "p0"), want("a", "p.k", "v", "state", "started").is(200), stamped("p0"),
			want("a", "p.k", "v", "state", "started").is(200, "_parameter_dict/timestamp={p0}"), same("p0"),
		},
	},
	{"2.3", "6: a change gives a timestamp", []step{format("C", "p0"), want("a", "p.k", "v").is(200), stamped("p0"), want("a", "p.k", "w").is(200), later("p0"), stamped("p0"), want("a", "p.k", "w", "software_type", "t").is(200), later("p0"), stamped("p0"),
		want("a", "p.k", "w", "software_type", "t", "state", "stopped").is(200), later("p0")}},
	{
		"2.3", "7: the whole dictionary is replaced",
		[]step{
			format("C", "p0"), want("a", "p.k", "v", "p.l", "w").is(200),
			want("a", "p.k", "v").is(200, "!_parameter_dict/l"), part("C", "p0").is(200, "!_parameter_dict/l"),
		},
	},
	{
		"2.3", "7: an empty one empties",
		[]step{
			format("C", "p0"), want("a", "p.k", "v").is(200), want("a").is(200, "!_parameter_dict/k"),
			part("C", "p0").is(200, "!_parameter_dict/k"), want("a", "p.k", "v", "state", "started").is(200),
			want("a", "state", "started").is(200, "!_parameter_dict/k"),
		},
	},
	{"2.3", "Ours: a change of state alone keeps the parameters", []step{format("C", "p0"), want("a", "p.k", "v").is(200), want("a", "state", "stopped").is(
		200, "_parameter_dict/k=v", "_requested_state=stopped",
	), part("C", "p0").is(200, "_parameter_dict/k=v", "_requested_state=stopped"),
		want("a", "state", "stopped").is(200, "!_parameter_dict/k"), want("a", "state", "stopped", "p.k", "v").is(200),
		want("a", "state", "started").is(200, "_parameter_dict/k=v"),
		want("a", "state", "destroyed").is(200, "_parameter_dict/k=v", "_requested_state=destroyed")}},
	{"2.3", "Ours: with another release it is no change of state alone", []step{format("C", "p0"), want("a", "p.k", "v").is(200), want(
		"a", "state", "stopped", "software_release", "new",
	).is(200, "!_parameter_dict/k"),
		want("a", "state", "stopped", "software_release", "new", "p.k", "v").is(200),
		want("a", "state", "started", "software_release", "new", "software_type", "t").is(200, "!_parameter_dict/k")}},
	{"2.3", "Ours: a change of state alone keeps the parameters of what has no place", []step{format("C", "p0"), want("a").is(200), want("b", "p.k", "v").is(404), want("b", "state", "stopped").is(404), format("C", "p0", "p1"),
		want("b", "state", "started").is(200, "_parameter_dict/k=v", "slap_computer_partition_id=p1"),
		want("c", "p.k", "v").is(404), want("c").is(404), format("C", "p0", "p1", "p2"),
		want("c", "state", "stopped").is(200, "!_parameter_dict/k"),
		want("d", "p.k", "v").is(404), want("d", "state", "destroyed").is(200, "_parameter_dict/k=v"),
		want("d", "state", "destroyed").is(200, "!_parameter_dict/k")}},
	{
		"2.3", "a root that nobody has is destroyed without a place",
		[]step{format("C", "p0"), want("a", "state", "destroyed").is(200, "_requested_state=destroyed"), free("p0")},
	},
}

// family is a root with two children, of which one has one; all in partitions of C.
var family = []step{
	format("C", "p0", "p1", "p2", "p3", "p4"), want("a").is(200), want("b", "from", "C p0").is(200),
	want("c", "from", "C p0").is(200), want("d", "from", "C p1").is(200),
}

func with(steps []step, more ...step) []step { return append(append([]step{}, steps...), more...) }

var rulesOfTrees = []rule{
	{"2.5", "connection parameters are seen by who asked and by nodes, and change no timestamp", with(family, stamped("p0"), stamped("p1"), connect(
		"p1", "None", proto.Dictionary{"url": "w", "n": int64(5)},
	).is(200, "~done"), same("p0"), same("p1"),
		want("b", "from", "C p0").is(
			200, "_connection_dict/url=w", "_connection_dict/n=5",
		), part("C", "p1").is(200, "_connection_dict/url=w"), told("C").is(
			200, "_computer_partition_list/1/_connection_dict/url=w",
		),
		connect("p1", "None", proto.Dictionary{}).is(200), part("C", "p1").is(200, "_connection_dict#0"))},
	{
		"2.5", "a bang of one is one of its tree",
		with(
			family, want("other").is(200), stamped("p0"), stamped("p1"), stamped("p3"), stamped("p4"),
			bang("p3").is(200, "~OK"), later("p0"), later("p1"), later("p3"), same("p4"),
		),
	},
	{"2.5", "a bang by JSON is of the one, and of the tree where it is a root", with(family, stamped("p0"), stamped("p1"), method(
		"put.v0.software_instance_bang", `{"instance_guid": "C-p1", "message": "m"}`,
	).is(200), same("p0"), later("p1"), stamped("p1"),
		method("put.v0.software_instance_bang", `{"instance_guid": "C-p0", "message": "m"}`).is(200), later("p0"), later("p1"))},
	{
		"2.5", "a bang of a computer changes nothing",
		with(family, stamped("p0"), tell("computerBang", "computer_id", "C", "message", "m").is(200), same("p0")),
	},
	{
		"2.5", "errors and states change nothing of what is wanted",
		with(
			family, stamped("p1"),
			tell("softwareInstanceError", "computer_id", "C", "computer_partition_id", "p1", "error_log", "e").is(200),
			reports("stopped", "C", "p1").is(200), same("p1"), state("p1", "started"),
		),
	},
	{
		"2.5", "an unknown partition is destroyed already",
		[]step{
			format("C", "p0"), reports("destroyed", "C", "p0").is(200, "~Unknown partition 'p0' on 'C'"),
			reports("destroyed", "D", "p0").is(200, "~Unknown partition 'p0' on 'D'"),
		},
	},
	{"2.5", "a partition that is left is free", []step{format("C", "p0"), want("a", "p.k", "v").is(200), connect(
		"p0", "None", proto.Dictionary{"x": "y"},
	).is(200), want("a", "state", "destroyed").is(200), state("p0", "destroyed"),
		reports("destroyed", "C", "p0").is(200, "~OK"), free("p0"),
		want("b").is(200, "slap_computer_partition_id=p0", "!_parameter_dict/k", "_connection_dict#0")}},
	{
		"2.5", "a root with children is not destroyed by its node, and they become so",
		with(
			family,
			reports("destroyed", "C", "p0").is(200, "~Not destroying yet because this partition has child partitions: b, c, d"),
			part("C", "p0").is(200, "_parameter_dict?"), state("p1", "destroyed"), state("p2", "destroyed"),
			state("p3", "destroyed"),
		),
	},
	{"2.5", "Ours: a root that is wanted destroyed is stopped for its node until the others are gone", with(family, want("a", "state", "destroyed").is(200, "_requested_state=destroyed"), state("p0", "stopped"), told("C").is(
		200, "_computer_partition_list/0/_requested_state=stopped",
		"_computer_partition_list/1/_requested_state=destroyed",
	),
		state("p1", "destroyed"), state("p2", "destroyed"), state("p3", "destroyed"), stamped("p0"), reports("destroyed", "C", "p0").is(
			200, "~Not destroying yet because this partition has child partitions: b, c, d",
		),
		reports("destroyed", "C", "p1").is(200, "~OK"), reports("destroyed", "C", "p3").is(200, "~OK"), state("p0", "stopped"), same("p0"), reports("destroyed", "C", "p0").is(
			200, "~Not destroying yet because this partition has child partitions: c",
		),
		reports("destroyed", "C", "p2").is(200, "~OK"), state("p0", "destroyed"), later("p0"), want("a", "state", "destroyed").is(200, "_requested_state=destroyed"), reports("destroyed", "C", "p0").is(200, "~OK"), free("p0"), free("p1"), free("p2"), free("p3"))},
	{"2.5", "Ours: a tree that is to be destroyed gets nothing new", with(family, want("a", "state", "destroyed").is(200), want("late", "from", "C p0").is(404, "~late"), want("late", "from", "C p3").is(404), want(
		"late", "from", "C p0", "shared", "yes",
	).is(404), free("p4"),
		want("b", "from", "C p0").is(200, "_requested_state=destroyed"), reports("destroyed", "C", "p3").is(200), want("d", "from", "C p1").is(404), free("p3"))},
	{
		"2.5", "Ours: a destruction that is taken back before anything is gone",
		with(
			family, want("a", "state", "destroyed").is(200), want("a", "state", "started").is(200),
			state("p0", "started"), state("p1", "started"), state("p3", "started"),
		),
	},
	{
		"2.5", "a child is destroyed with what it asked for, and the tree lives",
		with(
			family, want("b", "from", "C p0", "state", "destroyed").is(200, "_requested_state=destroyed"),
			state("p1", "destroyed"), state("p3", "destroyed"), state("p0", "started"), state("p2", "started"),
		),
	},
	{"2.5", "a rename", with(family, rename("p0", "None", "z").is(200, "~done"), part("C", "p3").is(
		200, "_parameter_dict/root_instance_title=z",
	), want("z").is(200, "slap_computer_partition_id=p0"), want("b", "from", "C p0").is(200, "slap_computer_partition_id=p1"),
		want("a").is(200, "slap_computer_partition_id=p4"), rename("p0", "None", "a").is(409, "~a"), rename("p1", "None", "y").is(200), want("y", "from", "C p0").is(200, "slap_computer_partition_id=p1"), rename("p1", "None", "").is(400))},
	{
		"2.5", "a supply to be destroyed stays until its node says so",
		[]step{
			supply("available").is(200), supply("destroyed").is(200),
			told("C").is(200, "_software_release_list/0/_requested_state=destroyed"),
			tell("destroyedSoftwareRelease", "url", demo, "computer_id", "C").is(200, "~OK"),
			told("C").is(200, "_software_release_list#0"),
		},
	},
	{
		"2.6", "a master that nobody has listed",
		[]step{
			format("C", "p0"),
			want("a", "f.master_url", "http://127.0.0.1:9/").is(
				404, "~External SlapOS Master URL http://127.0.0.1:9/ is not listed in multimaster list.",
			),
			free("p0"),
		},
	},
	{
		"2.6", "a master that is this one",
		[]step{format("C", "p0"), want("a", "f.master_url", "{base}").is(200, "slap_computer_partition_id=p0")},
	},
	{"2.7", "what a proxy says of the URL", []step{look("/getHateoasUrl").is(200, "~{base}hateoas")}},
	{
		"2.7", "a watch",
		[]step{
			format("C", "p0"), look("/hostler.watch.v0.compute_node?computer_guid=C&after=0").is(200),
			look("/hostler.watch.v0.compute_node?computer_guid=C&after=x").is(400),
			look("/hostler.watch.v0.compute_node?after=0").is(400),
		},
	},
}

// host is a host a in p0, and a second instance b in p1.
var host = []step{format("C", "p0", "p1", "p2"), want("a").is(200), want("b").is(200)}

func shared(title string, pairs ...string) step {
	return want(title, append([]string{"shared", "yes"}, pairs...)...)
}

var rulesOfShared = []rule{
	{"2.4", "the first that fits is the host", with(host, shared("s", "p.k", "v").is(
		200, "slap_computer_partition_id=p0", "_parameter_dict/k=v",
	), part("C", "p0").is(200, "_parameter_dict/slave_instance_list#1", "_parameter_dict/slave_instance_list/0/k=v",
		"_parameter_dict/slave_instance_list/0/slave_title=_s", "_parameter_dict/slave_instance_list/0/slave_reference=_s", "_parameter_dict/slave_instance_list/0/slap_software_type=default"), part("C", "p1").is(
		200, "_parameter_dict/slave_instance_list#0",
	))},
	{
		"2.4", "the name has the root's title",
		with(
			host, shared("s", "from", "C p1").is(200),
			part("C", "p0").is(200, "_parameter_dict/slave_instance_list/0/slave_reference=b_s"),
		),
	},
	{"2.4", "names that look the same are two instances", []step{format("C", "p0", "p1"), want("x").is(200), want("x_y").is(200), shared("y_z", "from", "C p0", "p.k", "1").is(200), shared("z", "from", "C p1", "p.k", "2").is(200),
		part("C", "p0").is(200, "_parameter_dict/slave_instance_list#2"),
		shared("y_z", "from", "C p0", "state", "destroyed").is(200),
		part("C", "p0").is(200, "_parameter_dict/slave_instance_list#1", "_parameter_dict/slave_instance_list/0/k=2")}},
	{"2.4", "the release and the type must be those", with(host, shared("s", "software_release", "u").is(
		404, "~No partition corresponding to slave request: ['u', 'C', 'default']",
	), shared("s", "software_type", "t").is(
		404, "~No partition corresponding to slave request: ['"+demo+"', 'C', 't']",
	),
		want("c", "software_type", "t").is(200), shared("s", "software_type", "t").is(200, "slap_computer_partition_id=p2"))},
	{
		"2.4", "the instance that is named is the host",
		with(
			host, shared("s", "f.instance_guid", "C-p1").is(200, "slap_computer_partition_id=p1"),
			shared("r", "f.instance_guid", "p1").is(200, "slap_computer_partition_id=p1"),
			shared("q", "f.instance_guid", "C-p2").is(404),
		),
	},
	{"2.4", "a change has the host processed again, the same not", with(host, shared("s", "p.k", "v").is(200), stamped("p0"), stamped("p1"), shared("s", "p.k", "v").is(200), same("p0"), shared("s", "p.k", "w").is(200, "_parameter_dict/k=w"), later("p0"), same("p1"),
		part("C", "p0").is(200, "_parameter_dict/slave_instance_list/0/k=w", "_parameter_dict/slave_instance_list#1"))},
	{"2.4", "destroyed ones leave every list", with(host, shared("s").is(200), stamped("p0"), shared("s", "state", "destroyed").is(200), later("p0"), part("C", "p0").is(
		200, "_parameter_dict/slave_instance_list#0",
	), method("allDocs.v0.instance_tree_list", "{}").is(200, "result_list#2"),
		search(trees+` AND title:="s"`, "").is(200, "_embedded/contents#0"), shared("s", "state", "destroyed").is(200))},
	{
		"2.4", "other states are ignored",
		with(
			host, shared("s").is(200), stamped("p0"), shared("s", "state", "stopped").is(200), same("p0"),
			part("C", "p0").is(200, "_parameter_dict/slave_instance_list#1"),
		),
	},
	{"2.4", "2.3 Ours: a change of state alone keeps the parameters of a shared one", with(host, shared("s", "p.k", "v").is(200), stamped("p0"), shared("s", "state", "stopped").is(200, "_parameter_dict/k=v"), same("p0"),
		part("C", "p0").is(
			200, "_parameter_dict/slave_instance_list/0/k=v",
		), shared("s", "state", "started").is(200, "!_parameter_dict/k"), later("p0"), shared("s", "p.k", "v", "state", "stopped").is(200), shared("s").is(200, "!_parameter_dict/k"),
		shared("s", "p.k", "v").is(200), shared("s", "state", "destroyed").is(200, "!_parameter_dict/k"), part("C", "p0").is(
			200, "_parameter_dict/slave_instance_list#0",
		))},
	{"2.4", "2.3 Ours: and of one without a host", []step{format("C", "p0"), shared("s", "p.k", "v").is(404), shared("s", "state", "stopped").is(404), want("a").is(200), part("C", "p0").is(
		200, "_parameter_dict/slave_instance_list/0/k=v",
	),
		shared("s", "state", "started").is(200, "!_parameter_dict/k")}},
	{"2.4", "connection parameters by the host", with(host, shared("s").is(200), connect(
		"p0", "_s", proto.Dictionary{"url": "w"},
	).is(200, "~done"), shared("s").is(200, "_connection_dict/url=w"), part("C", "p0").is(200, "_connection_dict#0"), want("a").is(200, "_connection_dict#0"),
		connect("p1", "_s", proto.Dictionary{"url": "x"}).is(404, "~_s"), connect(
			"p0", "_none", proto.Dictionary{"url": "x"},
		).is(404, "~_none"))},
	{"1.2", "a shared instance is renamed, not its host", with(host, shared("s").is(200), rename("p0", "_s", "t").is(200, "~done"), want("a").is(200, "slap_computer_partition_id=p0"), part("C", "p0").is(
		200, "_parameter_dict/slave_instance_list/0/slave_reference=_t", "_parameter_dict/instance_title=a",
	),
		shared("t").is(200, "slap_computer_partition_id=p0"), rename("p0", "_s", "u").is(404))},
	{"2.5", "a rename of a root is one of its shared instances, of which their hosts hear", with(host, shared("s", "from", "C p1").is(200), shared("t", "from", "C p1").is(200), shared("u").is(200), stamped("p0"), rename("p1", "None", "z").is(200), later("p0"),
		part("C", "p0").is(
			200, "_parameter_dict/slave_instance_list/0/slave_reference=z_s",
			"_parameter_dict/slave_instance_list/1/slave_reference=z_t",
			"_parameter_dict/slave_instance_list/2/slave_reference=_u",
		), stamped("p0"),
		connect(
			"p0", "z_s", proto.Dictionary{"url": "w"},
		).is(200), shared("s", "from", "C p1").is(200, "_connection_dict/url=w"), want("c", "from", "C p1").is(200, "slap_computer_partition_id=p2"), rename("p2", "None", "d").is(200), same("p0"))},
	{
		"2.4 Ours", "the host is remembered",
		[]step{
			format("C", "p0", "p1"), want("x", "software_release", "u").is(200), want("b").is(200),
			shared("s").is(200, "slap_computer_partition_id=p1"), want("x").is(200, "slap_computer_partition_id=p0"),
			shared("s").is(200, "slap_computer_partition_id=p1"),
		},
	},
	{"2.4 Ours", "it moves when its host goes", with(host, shared("s", "p.k", "v").is(200), stamped("p1"), reports("destroyed", "C", "p0").is(200), part("C", "p1").is(
		200, "_parameter_dict/slave_instance_list#1", "_parameter_dict/slave_instance_list/0/k=v",
	), later("p1"),
		shared("s", "p.k", "v").is(200, "slap_computer_partition_id=p1"))},
	{"2.4 Ours", "it is kept where no host fits, and placed when one comes", []step{format("C", "p0"), want("a").is(200), shared("s", "p.k", "v").is(200), reports("destroyed", "C", "p0").is(200), method("allDocs.v0.instance_tree_list", "{}").is(200, "result_list#1"),
		shared("s", "p.k", "v").is(404), want("b").is(200),
		part("C", "p0").is(200, "_parameter_dict/slave_instance_list#1", "_parameter_dict/slave_instance_list/0/k=v"),
		shared("s", "p.k", "v").is(200, "slap_computer_partition_id=p0")}},
	{"2.4 Ours", "it is kept where its host becomes another release", []step{format("C", "p0"), want("a").is(200), shared("s").is(200), want("a", "software_release", "new").is(200), part("C", "p0").is(
		200, "_parameter_dict/slave_instance_list#0",
	), want("a").is(200),
		part("C", "p0").is(200, "_parameter_dict/slave_instance_list#1")}},
	{
		"2.4 Ours", "shared ones go with the tree that asked for them",
		with(
			host, shared("s", "from", "C p1").is(200), want("b", "state", "destroyed").is(200),
			part("C", "p0").is(200, "_parameter_dict/slave_instance_list#0"),
		),
	},
	{"2.4", "frontends that need no host", []step{shared(
		"f", "software_release", "https://x.example/software/apache-frontend/software.cfg", "p.url",
		"https://site.example:8443/x",
	).is(200, "_connection_dict/secure_access=https://site.example:8443/x", "_connection_dict/domain=site.example:8443",
		"_partition_id=Fake frontend for https://site.example:8443/x", "slap_computer_id=", "slap_computer_partition_id=", "_computer_id=", "_parameter_dict#0", "_request_dict=<nil>"),
		shared(
			"f", "software_release", "https://x.example/software/kvm/software.cfg", "software_type", "frontend",
			"p.host", "2001:db8::1", "p.port", "5900",
		).is(
			200, "_connection_dict/url=https://[2001:db8::1]:5900/", "_connection_dict/port=5900",
			"_connection_dict/path=/", "_connection_dict/domainname=[2001:db8::1]",
		),
		shared(
			"f", "software_release", "https://x.example/software/kvm/software.cfg", "software_type", "other", "p.host",
			"h", "p.port", "5900",
		).is(404)}},
}
