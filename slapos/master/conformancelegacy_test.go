package master_test

import (
	"strings"

	"github.com/hostler-project/hostler/slapos/proto"
)

const usage = `<?xml version='1.0' encoding='utf-8'?><journal><transaction type="Sale Packing List"><title>Resource consumptions</title><start_date>2026-11-20</start_date><stop_date>2026-11-20</stop_date><reference>C</reference><currency/><payment_mode/><category/><arrow type="Administration"><source/><destination/></arrow><movement><resource>CPU</resource><title>t</title><reference>p0</reference><quantity>1.5</quantity><price>0</price><VAT/><category/></movement></transaction></journal>`

// missing shows that each of the fields must be there, and is named where it is not.
func missing(endpoint string, fields ...string) rule {
	r := rule{"1.2", "the fields of " + endpoint, []step{format("C", "p0"), want("a").is(200)}}
	for i := range fields {
		var pairs []string
		for k, field := range fields {
			if k != i {
				pairs = append(pairs, field, "x")
			}
		}
		r.steps = append(r.steps, tell(endpoint, pairs...).is(400, "~"+fields[i]))
	}
	return r
}

// missingIn is the same of what is read.
func missingIn(endpoint string, fields ...string) rule {
	r := rule{"1.2", "the parameters of " + endpoint, []step{format("C", "p0")}}
	for i := range fields {
		var pairs []string
		for k, field := range fields {
			if k != i {
				pairs = append(pairs, field+"=x")
			}
		}
		r.steps = append(r.steps, look("/"+endpoint+"?"+strings.Join(pairs, "&")).is(400, "~"+fields[i]))
	}
	return r
}

func supply(state string) step {
	return tell("supplySupply", "url", demo, "computer_id", "C", "state", state)
}

var empty = value(proto.Dictionary{})

var rulesOfLegacy = []rule{
	missing("supplySupply", "url", "computer_id"), missing("loadComputerConfigurationFromXML", "xml"),
	missing("setComputerPartitionConnectionXml", "computer_id", "computer_partition_id", "connection_xml"),
	missing("buildingSoftwareRelease", "url", "computer_id"), missing("availableSoftwareRelease", "url", "computer_id"),
	missing("destroyedSoftwareRelease", "url", "computer_id"),
	missing("softwareReleaseError", "url", "computer_id", "error_log"),
	missing("startedComputerPartition", "computer_id", "computer_partition_id"),
	missing("stoppedComputerPartition", "computer_id", "computer_partition_id"),
	missing("destroyedComputerPartition", "computer_id", "computer_partition_id"),
	missing("softwareInstanceError", "computer_id", "computer_partition_id", "error_log"),
	missing("softwareInstanceBang", "computer_id", "computer_partition_id", "message"),
	missing("computerBang", "computer_id", "message"),
	missing("softwareInstanceRename", "new_name", "computer_id", "computer_partition_id"),
	missing("useComputer", "computer_id", "use_string"), missing("requestComputer", "computer_title"),
	missing("generateComputerCertificate", "computer_id"),
	missing("revokeComputerCertificate", "computer_id"),
	missing("updateComputerPartitionRelatedInstanceList", "computer_id", "computer_partition_id", "instance_reference_xml"),
	missing("requestComputerPartition", "software_release", "software_type", "partition_reference", "state"),
	missingIn("getFullComputerInformation", "computer_id"), missingIn("getComputerInformation", "computer_id"),
	missingIn("registerComputerPartition", "computer_reference", "computer_partition_reference"),
	missingIn("getComputerPartitionCertificate", "computer_id", "computer_partition_id"),
	missingIn("getComputerPartitionStatus", "computer_id", "computer_partition_id"), missingIn("getComputerStatus", "computer_id"),
	missingIn("getSoftwareInstallationStatus", "url", "computer_id"),
	missingIn("getHostingSubscriptionIpList", "computer_id", "computer_partition_id"),

	{"1.2", "an unknown computer is not found", []step{
		told("D").is(404, "~D"), look("/getComputerInformation?computer_id=D").is(404), part("D", "p0").is(404, "~D"),
		look("/getComputerStatus?computer_id=D").is(404),
		look("/getComputerPartitionCertificate?computer_id=D&computer_partition_id=p0").is(404),
		look("/getComputerPartitionStatus?computer_id=D&computer_partition_id=p0").is(404),
		look("/getSoftwareInstallationStatus?computer_id=D&url=u").is(404),
		look("/getHostingSubscriptionIpList?computer_id=D&computer_partition_id=p0").is(404),
		tell("computerBang", "computer_id", "D", "message", "m").is(404)}},
	{
		"1.2", "the configured computer is empty before it is formatted",
		[]step{told("C").is(200, "_computer_id=C", "_computer_partition_list#0", "_software_release_list#0")},
	},
	{"1.2", "an unknown partition is not found", []step{format("C", "p0"), part("C", "p1").is(404, "~p1"),
		look("/getComputerPartitionCertificate?computer_id=C&computer_partition_id=p1").is(404),
		reports("started", "C", "p1").is(404), reports("stopped", "C", "p1").is(404),
		tell("softwareInstanceError", "computer_id", "C", "computer_partition_id", "p1", "error_log", "e").is(404),
		tell("softwareInstanceBang", "computer_id", "C", "computer_partition_id", "p1", "message", "m").is(404),
		tell("softwareInstanceRename", "computer_id", "C", "computer_partition_id", "p1", "new_name", "n").is(404),
		tell("setComputerPartitionConnectionXml", "computer_id", "C", "computer_partition_id", "p1", "connection_xml", empty).is(404)}},
	{
		"1.2", "both names read a computer",
		[]step{format("C", "p0"), look("/getComputerInformation?computer_id=C").is(200, "_computer_partition_list#1")},
	},
	{"1.2", "an endpoint that is not there", []step{look("/nothing").is(404), tell("nothing").is(404), look("/").is(404)}},
	{
		"1.2", "other methods are not allowed",
		[]step{look("/requestComputerPartition").is(405, "@Allow=POST"), tell("getRunId").is(405, "@Allow=GET")},
	},
	{"1.2", "None is absent in an optional field", []step{format("C", "p0", "p1"), want("a").is(200),
		want("a", "from", "None None", "project_reference", "none").is(200, "slap_computer_partition_id=p0"),
		tell(
			"setComputerPartitionConnectionXml", "computer_id", "C", "computer_partition_id", "p0", "connection_xml",
			value(proto.Dictionary{"k": "v"}), "slave_reference", "None",
		).is(200, "~done"),
		want("a").is(200, "_connection_dict/k=v"),
		tell(
			"softwareInstanceError", "computer_id", "C", "computer_partition_id", "p0", "error_log", "e",
			"slave_reference", "NONE",
		).is(200, "~Ignored"),
		tell(
			"softwareInstanceRename", "computer_id", "C", "computer_partition_id", "p0", "new_name", "b",
			"slave_reference", "None",
		).is(200, "~done"),
		want("b").is(200, "slap_computer_partition_id=p0")}},
	{"1.2", "an error names what happened", []step{want("it's <b>").is(404, "~No free computer partition found for: it's <b>")}},
	{"1.2", "a supply", []step{supply("available").is(200, "~Supplied '"+demo+"' to be available"), told("C").is(
		200, "_software_release_list/0/_software_release="+demo, "_software_release_list/0/_requested_state=available",
	),
		supply("destroyed").is(200, "~to be destroyed"), told("C").is(200, "_software_release_list/0/_requested_state=destroyed"),
		tell("supplySupply", "url", demo, "computer_id", "C").is(200, "~to be available"),
		supply("bogus").is(400, "~bogus"),
		told("C").is(200, "_software_release_list#1", "_software_release_list/0/_requested_state=available")}},
	{"1.2", "a release that a node has destroyed is gone", []step{supply("available").is(200), tell(
		"destroyedSoftwareRelease", "url", demo, "computer_id", "C",
	).is(404), supply("destroyed").is(200),
		tell("destroyedSoftwareRelease", "url", demo, "computer_id", "C").is(200, "~OK"),
		told("C").is(200, "_software_release_list#0"),
		tell("destroyedSoftwareRelease", "url", demo, "computer_id", "C").is(200)}},
	{"1.2", "what a node says of a release", []step{format("C"), supply("available").is(200),
		look("/getSoftwareInstallationStatus?computer_id=C&url="+demo).is(200, "no_data=1", "portal_type=Software Installation"),
		tell("buildingSoftwareRelease", "url", demo, "computer_id", "C").is(200, "~Ignored"),
		look("/getSoftwareInstallationStatus?computer_id=C&url="+demo).is(
			200, "state=building", "no_data_since_5_minutes=0", "no_data_since_15_minutes=0",
		),
		tell("availableSoftwareRelease", "url", demo, "computer_id", "C").is(200, "~Ignored"),
		look("/getSoftwareInstallationStatus?computer_id=C&url="+demo).is(200, "state=available", "text=#access available"),
		tell("softwareReleaseError", "url", demo, "computer_id", "C", "error_log", strings.Repeat("x", 100)+"end").is(200, "~Ignored"),
		look("/getSoftwareInstallationStatus?computer_id=C&url="+demo).is(200, "text=#error "+strings.Repeat("x", 77)+"end"),
		look("/getSoftwareInstallationStatus?computer_id=C&url=other").is(404)}},
	{"1.2", "what a node says of an instance", []step{format("C", "p0"), look(
		"/getComputerPartitionStatus?computer_id=C&computer_partition_id=p0",
	).is(
		200, "no_data=1", "text=#error no data found for C-p0",
	),
		want("a").is(200), reports("started", "C", "p0").is(200, "~Ignored"),
		look("/getComputerPartitionStatus?computer_id=C&computer_partition_id=p0").is(
			200, "state=started", "portal_type=Software Instance", "reference=C-p0", "created_at?", "since?", "user?",
		),
		reports("stopped", "C", "p0").is(200, "~Ignored"),
		look("/getComputerPartitionStatus?computer_id=C&computer_partition_id=p0").is(200, "state=stopped"),
		tell(
			"softwareInstanceError", "computer_id", "C", "computer_partition_id", "p0", "error_log",
			strings.Repeat("ä", 100)+"end",
		).is(200, "~Ignored"),
		look("/getComputerPartitionStatus?computer_id=C&computer_partition_id=p0").is(
			200, "text=#error "+strings.Repeat("ä", 77)+"end", "@Vary=REMOTE_USER",
			"@Cache-Control=public, max-age=60, stale-if-error=604800",
		),
		reports("destroyed", "C", "p0").is(200, "~OK"),
		look("/getComputerPartitionStatus?computer_id=C&computer_partition_id=p0").is(200, "no_data=1"),
		want("b").is(200), look("/getComputerPartitionStatus?computer_id=C&computer_partition_id=p0").is(200, "no_data=1")}},
	{"1.2", "what a node says of itself", []step{format("D", "p0"), look("/getComputerStatus?computer_id=D").is(
		200, "no_data=1", "portal_type=Compute Node",
	),
		tell("computerBang", "computer_id", "D", "message", "m").is(200, "=", "~<marshal><string></string></marshal>"),
		look("/getComputerStatus?computer_id=D").is(200, "no_data_since_5_minutes=0")}},
	{"1.2", "usage is of its form", []step{tell("useComputer", "computer_id", "C", "use_string", usage).is(200, "~Ignored"),
		tell("useComputer", "computer_id", "C", "use_string", "<journal>").is(400),
		tell("useComputer", "computer_id", "C", "use_string", "").is(400),
		tell("useComputer", "computer_id", "C", "use_string", "<other/>").is(400),
		tell("useComputer", "computer_id", "C", "use_string", "<!DOCTYPE journal [<!ENTITY e 'x'>]><journal>&e;</journal>").is(400)}},
	{"1.2", "releases of a product", []step{look(
		"/getSoftwareReleaseListFromSoftwareProduct?software_product_reference=demo",
	).is(200, "#2", "0="+demo, "1="+demo+"?old"),
		look("/getSoftwareReleaseListFromSoftwareProduct?software_product_reference=none").is(200, "#0"),
		look("/getSoftwareReleaseListFromSoftwareProduct?software_release_url="+demo).is(200, "0="+demo),
		look("/getSoftwareReleaseListFromSoftwareProduct?software_release_url=none").is(200, "#0"),
		look("/getSoftwareReleaseListFromSoftwareProduct?software_release_url=x&software_product_reference=y").is(400),
		look("/getSoftwareReleaseListFromSoftwareProduct").is(400)}},
	{"1.2", "certificates are empty without an authority", []step{format("C", "p0"), look(
		"/getComputerPartitionCertificate?computer_id=C&computer_partition_id=p0",
	).is(200, "certificate=", "key="),
		want("a").is(200),
		look("/getComputerPartitionCertificate?computer_id=C&computer_partition_id=p0").is(200, "certificate=", "key=")}},
	{"1.2", "the run's ID is of 32 letters and digits", []step{look("/getRunId").is(200, "!~-", "!~ ", "!~<")}},
	{
		"1.2", "the URL of the hypermedia API",
		[]step{look("/getHateoasUrl").is(200, "~{base}hateoas", "@Cache-Control=public, max-age=3600")},
	},
	{"1.2", "a new computer", []step{tell(
		"requestComputer", "computer_title", "mine", "project_reference", "P",
	).is(200, "guid:=_computer_id"), told("{guid}").is(200, "_computer_id={guid}"),
		tell("requestComputer", "computer_title", "mine", "project_reference", "P").is(200, "_computer_id={guid}"),
		tell("requestComputer", "computer_title", "").is(400),
		tell("requestComputer", "computer_title", "mine", "project_reference", strings.Repeat("x", 5000)).is(400, "~project_reference")}},
	{"1.2", "the addresses of a tree", []step{format("C", "p0", "p1", "p2"), want("a").is(200), want("b", "from", "C p0").is(200), want("c").is(200),
		look("/getHostingSubscriptionIpList?computer_id=C&computer_partition_id=p1").is(
			200, "#2", "0/0=tapp0", "0/1=10.0.0.1", "1/1=10.0.0.2",
		)}},
	{"1.2", "related instances are taken", []step{format("C", "p0"), tell(
		"updateComputerPartitionRelatedInstanceList", "computer_id", "C", "computer_partition_id", "p0",
		"instance_reference_xml", value(proto.List{"a"}),
	).is(200),
		tell(
			"updateComputerPartitionRelatedInstanceList", "computer_id", "C", "computer_partition_id", "p0",
			"instance_reference_xml", empty,
		).is(400)}},
	{"1.2", "a form that cannot be read", []step{{
		method: "POST", path: "/supplySupply", kind: "application/x-www-form-urlencoded", body: "url=%zz&computer_id=C",
		status: 400,
	},
		{method: "POST", path: "/supplySupply", kind: "application/json", body: "{}", status: 400},
		look("/getFullComputerInformation?computer_id=%zz").is(400),
		{
			method: "POST", path: "/supplySupply", kind: "application/x-www-form-urlencoded",
			body: "url=" + strings.Repeat("x", 5<<20), status: 413,
		}}},
	{"1.2", "names that nothing can carry", []step{format("C", "p0"), tell(
		"supplySupply", "url", "a\x00b", "computer_id", "C",
	).is(400, "~url"), tell(
		"supplySupply", "url", strings.Repeat("u", 2001), "computer_id", "C",
	).is(400, "~url"),
		tell("supplySupply", "url", "", "computer_id", "C").is(400, "~url"),
		tell("supplySupply", "url", "\xff", "computer_id", "C").is(400, "~url"),
		want("a\x1fb").is(400, "~partition_reference"), want("").is(400, "~partition_reference"),
		want(strings.Repeat("x", 201)).is(400, "~partition_reference"),
		want("a", "software_type", "\x02").is(400, "~software_type"), want("a", "software_release", " ").is(400, "~software_release"),
		want("a", "project_reference", "a\x1fb").is(400, "~project_reference"),
		want("a", "project_reference", strings.Repeat("x", 5000)).is(400, "~project_reference"),
		want("a", "f.computer_guid", strings.Repeat("x", 5000)).is(400, "~computer_guid"),
		want("a", "shared", "yes", "f.computer_guid", strings.Repeat("x", 5000)).is(400, "~computer_guid")}},
	{"1.2", "the longest names are kept", []step{format(strings.Repeat("😀", 150), strings.Repeat("😁", 150)), tell(
		"supplySupply", "computer_id", strings.Repeat("😀", 150), "url", long(2000),
	).is(200),
		tell("buildingSoftwareRelease", "computer_id", strings.Repeat("😀", 150), "url", long(2000)).is(200),
		want(
			strings.Repeat("😂", 200), "software_release", long(2000), "project_reference", strings.Repeat("😃", 150),
			"f.computer_guid", strings.Repeat("😀", 150),
		).is(200, "slap_computer_partition_id="+strings.Repeat("😁", 150)),
		want(
			strings.Repeat("😂", 200), "software_release", long(2000), "shared", "yes", "f.computer_guid",
			strings.Repeat("😀", 150),
		).is(200),
		want(
			strings.Repeat("😄", 200), "software_release", long(1999)+"y", "shared", "yes", "f.computer_guid",
			strings.Repeat("😀", 150),
		).is(404),
		tell("requestComputer", "computer_title", strings.Repeat("😀", 200), "project_reference", strings.Repeat("😀", 150)).is(200)}},

	{"1.2.1", "a free partition", []step{format("C", "p0"), told("C").is(200, "_computer_partition_list/0#7", "_computer_partition_list/0/_need_modification=0", "_computer_partition_list/0/_requested_state=destroyed",
		"_computer_partition_list/0/_software_release_document=<nil>", "_computer_partition_list/0/_request_dict=<nil>", "_computer_partition_list/0/_partition_id=p0", "_computer_partition_list/0/_computer_id=C"),
		part("C", "p0").is(200, "#7", "!_parameter_dict")}},
	{"1.2.1", "a busy partition", []step{format("C", "p0"), want("a", "p.k", "v", "p.instance_title", "not this").is(200), told("C").is(200,
		"_computer_partition_list/0#9", "_computer_partition_list/0/_need_modification=1", "_computer_partition_list/0/_requested_state=started", "_computer_partition_list/0/_connection_dict#0",
		"_computer_partition_list/0/_software_release_document/_software_release="+demo, "_computer_partition_list/0/_software_release_document/_computer_guid=C", "_computer_partition_list/0/_software_release_document/_software_instance_list#0",
		"_computer_partition_list/0/_parameter_dict/k=v", "_computer_partition_list/0/_parameter_dict/instance_title=a", "_computer_partition_list/0/_parameter_dict/root_instance_title=a",
		"_computer_partition_list/0/_parameter_dict/ip_list/0/0=tapp0", "_computer_partition_list/0/_parameter_dict/ip_list/0/1=10.0.0.1", "_computer_partition_list/0/_parameter_dict/full_address_list#0",
		"_computer_partition_list/0/_parameter_dict/slap_software_type=default", "_computer_partition_list/0/_parameter_dict/slap_computer_id=C", "_computer_partition_list/0/_parameter_dict/slap_computer_partition_id=p0",
		"_computer_partition_list/0/_parameter_dict/slap_software_release_url="+demo, "_computer_partition_list/0/_parameter_dict/slave_instance_list#0", "_computer_partition_list/0/_parameter_dict/timestamp?",
		"_computer_partition_list/0/_parameter_dict#11")}},
	{
		"1.2.1", "the root's title in a child",
		[]step{
			format("C", "p0", "p1"), want("a").is(200), want("b", "from", "C p0").is(200),
			part("C", "p1").is(200, "_parameter_dict/root_instance_title=a", "_parameter_dict/instance_title=b"),
		},
	},

	{
		"1.2.2", "fields that have a default",
		[]step{
			format("C", "p0"),
			tell(
				"requestComputerPartition", "software_release", demo, "software_type", "", "partition_reference", "a",
				"state", "None",
			).is(200, "slap_software_type=default", "_requested_state=started"),
		},
	},
	{"1.2.2", "fields of the wrong kind", []step{format("C", "p0"), want("a", "state", "dancing").is(400, "~state"), want("a", "filter_xml", value("x")).is(400, "~filter_xml"), want("a", "shared_xml", value("x")).is(400, "~shared_xml"),
		want("a", "computer_id", "C").is(400), part("C", "p0").is(200, "!_parameter_dict")}},
	{"1.2.3", "the answer for an instance", []step{format("C", "p0"), want("a", "p.k", "v").is(200, "#11", "_connection_dict#0", "_instance_guid?", "_parameter_dict/k=v", "_parameter_dict/timestamp?", "_requested_state=started",
		"connection_xml=<nil>", "ip_list/0/1=10.0.0.1", "slap_computer_id=C", "slap_computer_partition_id=p0", "slap_server_url=slap_server_url", "slap_software_release_url="+demo, "slap_software_type=default")}},
	{"1.2.3", "the answer for a shared instance", []step{format("C", "p0"), want("a").is(200), want("s", "shared", "yes", "p.k", "v").is(200, "#8", "!_instance_guid", "!_requested_state", "!_parameter_dict/timestamp", "_parameter_dict/k=v",
		"ip_list/0/1=10.0.0.1", "slap_computer_id=C", "slap_computer_partition_id=p0", "slap_server_url=slap_server_url", "slap_software_release_url="+demo, "slap_software_type=default", "_connection_dict#0")}},
}

// long is a text that no compression makes short.
func long(n int) string {
	var b strings.Builder
	x := uint32(1)
	for b.Len() < n {
		x = x*1664525 + 1013904223
		b.WriteByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[x>>26])
	}
	return b.String()
}
