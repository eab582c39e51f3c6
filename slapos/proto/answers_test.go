package proto_test

import (
	"errors"
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostler-project/hostler/slapos/proto"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.TrimSuffix(string(want), "\n"), string(got)); d != "" {
		t.Errorf(`%s: d = %s; want d == ""`, name, d)
	}
}

const demo = "https://software.example/demo/software.cfg?a=1&b=2"

// busy is a partition with all that a master may say of one.
func busy() proto.Partition {
	return proto.Partition{
		Computer: "COMP-1", ID: "slappart0", GUID: "COMP-1-slappart0", State: proto.Started, Release: demo, Type: "default",
		Title: "Größe <1>", RootTitle: "root", RootShortTitle: "r", Timestamp: "1795157840.5348501",
		Parameters: proto.Dictionary{"_": `{"a": "b & c"}`, "empty": nil},
		Connection: proto.Dictionary{"url": "https://[2001:db8::2]/?a=1&b=2"},
		Addresses:  []proto.Address{{Interface: "tap0", IP: "10.0.0.1"}, {Interface: "tap0", IP: "2001:db8::2"}},
		FullAddresses: []proto.FullAddress{{
			Interface: "tap0", IP: "10.1.0.1", Gateway: "10.1.0.254", Netmask: "255.255.255.0", Network: "10.1.0.0/24",
		}},
		Shared: []proto.SharedInstance{
			{Title: "_one", Reference: "_one", Type: "default", Parameters: proto.Dictionary{"name": "shared one"}},
			{Title: "root_two", Reference: "root_two", Type: "other", Timestamp: 1795157840534850, Parameters: proto.Dictionary{}},
		},
		Filter: proto.Dictionary{"computer_guid": "COMP-1"},
	}
}

func TestComputerBothWays(t *testing.T) {
	busy := busy()
	want := &proto.Computer{ID: "COMP-1",
		Partitions: []proto.Partition{busy, {Computer: "COMP-1", ID: "slappart1", GUID: "COMP-1-slappart1", State: proto.Destroyed}},
		Releases: []proto.Release{{URL: demo, Computer: "COMP-1", State: proto.Available},
			{URL: "/srv/other.cfg", Computer: "COMP-1", State: proto.Destroyed},
			{URL: "old", Computer: "COMP-1"}},
	}
	doc, err := proto.Marshal(want.Object())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "computer.xml", doc)
	got, err := proto.ReadComputer(sameBytes(t, "computer.xml", doc))
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf(`err = %v d = %s; want no error and d == ""`, err, d)
	}
	doc, err = proto.Marshal(busy.Object())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "partition.xml", doc)
	one, err := proto.ReadPartition(sameBytes(t, "partition.xml", doc))
	if d := cmp.Diff(&busy, one); err != nil || d != "" {
		t.Errorf(`err = %v d = %s; want no error and d == ""`, err, d)
	}
	if p := busy.Parameters; len(p) != 2 {
		t.Errorf("writing has changed the parameters: %v", p)
	}
}

// A parameter does not hide what the master says under the same name.
func TestReservedNames(t *testing.T) {
	p := busy()
	p.Timestamp = ""
	p.Parameters = proto.Dictionary{"instance_title": "not mine", "ip_list": "none", "timestamp": "1", "other": "o"}
	d := p.Object().Attributes["_parameter_dict"].(proto.Dictionary)
	if d["instance_title"] != p.Title || d["slap_computer_id"] != "COMP-1" || d["other"] != "o" || len(d["ip_list"].(proto.List)) != 2 {
		t.Errorf(
			"d = %v"+
				`; want d["instance_title"] == p.Title and d["slap_computer_id"] == "COMP-1" and `+
				`d["other"] == "o" and len(d["ip_list"].(proto.List)) == 2`,
			d,
		)
	}
}

func TestInstanceBothWays(t *testing.T) {
	for name, want := range map[string]*proto.Instance{
		"instance.xml": {Computer: "COMP-1", Partition: "slappart0", GUID: "COMP-1-slappart0", State: proto.Stopped,
			Release: demo, Type: "default",
			Timestamp: "1795157840.5348501", Parameters: proto.Dictionary{"port": "8080"}, Connection: proto.Dictionary{"url": "u"},
			ConnectionXML: declaration + "<instance>\n  <parameter id=\"url\">u</parameter>\n</instance>\n",
			Addresses:     []proto.Address{{Interface: "tap0", IP: "10.0.0.1"}}},
		"shared.xml": {Computer: "COMP-1", Partition: "slappart0", Release: demo, Type: "default", Shared: true,
			Parameters: proto.Dictionary{"name": "n"}, Connection: proto.Dictionary{},
			Addresses: []proto.Address{{Interface: "tap0", IP: "10.0.0.1"}}},
		"full.xml": {Computer: "COMP-1", Partition: "slappart0", GUID: "g", State: proto.Started, Release: demo,
			Type: "t", Title: "a", RootTitle: "r",
			Parameters: proto.Dictionary{}, Connection: proto.Dictionary{}, Filter: proto.Dictionary{"computer_guid": "COMP-1"},
			FullAddresses: []proto.FullAddress{{
				Interface: "tap0", IP: "10.1.0.1", Gateway: "10.1.0.254", Netmask: "255.255.255.0",
				Network: "10.1.0.0/24",
			}}},
	} {
		doc, err := proto.Marshal(want.Object())
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, doc)
		got, err := proto.ReadInstance(sameBytes(t, name, doc))
		want.Shared = false
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf(`%s: err = %v d = %s; want no error and d == ""`, name, err, d)
		}
	}
}

// What other masters say in other ways, or do not say.
func TestReadsOtherMasters(t *testing.T) {
	doc := in(`<object id="i2" module="slapos.slap.slap" class="ComputerPartition"><tuple><string>C</string><string>p</string></tuple><dictionary id="i3">
		<string>_software_release_document</string><object id="i4" module="slapos.slap.slap" class="SoftwareRelease">
			<tuple><string>u</string><string>C</string></tuple><dictionary id="i5"/></object>
		<string>_parameter_dict</string><dictionary id="i6"><string>timestamp</string><int>1795157840534850</int>
			<string>ip_list</string><list id="i7"><list id="i8"><string>tap</string><none/></list></list></dictionary>
		<string>_access_status</string><string>#error no promise</string>
		<string>_unknown</string><set id="i9"/></dictionary></object>`)
	v, err := proto.Unmarshal([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	got, err := proto.ReadPartition(v)
	want := &proto.Partition{Computer: "C", ID: "p", Release: "u", Timestamp: "1795157840534850", Parameters: proto.Dictionary{},
		Addresses: []proto.Address{{Interface: "tap"}}, AccessStatus: "#error no promise"}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf(`err = %v d = %s; want no error and d == ""`, err, d)
	}
	answer := &proto.Object{Class: proto.ClassPartition, Args: proto.Tuple{"", "Fake", nil}, Attributes: proto.Dictionary{
		"slap_computer_id": "", "slap_computer_partition_id": "", "_connection_dict": proto.Dictionary{"url": "u"}}}
	if n, err := proto.ReadInstance(answer); err != nil || n.Computer != "" || n.Connection["url"] != "u" {
		t.Errorf(`n = %+v, err = %v; want no error and n.Computer == "" and n.Connection["url"] == "u"`, n, err)
	}
}

func TestWrongKinds(t *testing.T) {
	partition := func(d proto.Dictionary) *proto.Object {
		if d["_software_release_document"] == nil {
			d["_software_release_document"] = (&proto.Release{URL: "u", Computer: "C"}).Object()
		}
		return &proto.Object{Class: proto.ClassPartition, Attributes: d}
	}
	for says, v := range map[string]any{
		"expected a Computer, got none": nil,
		"Computer._computer_id: expected a text, got a number": &proto.Object{
			Class: proto.ClassComputer, Attributes: proto.Dictionary{"_computer_id": int64(1)},
		},
		"Computer._computer_partition_list: expected a list, got a dictionary": &proto.Object{
			Class: proto.ClassComputer, Attributes: proto.Dictionary{"_computer_partition_list": proto.Dictionary{}},
		},
		"Computer: expected a ComputerPartition, got a boolean": &proto.Object{
			Class: proto.ClassComputer, Attributes: proto.Dictionary{"_computer_partition_list": proto.List{true}},
		},
		"Computer._software_release_list: expected a SoftwareRelease, got a tuple": &proto.Object{
			Class: proto.ClassComputer, Attributes: proto.Dictionary{"_software_release_list": proto.List{proto.Tuple{}}},
		},
		"ComputerPartition._software_release_document: expected a SoftwareRelease": partition(
			proto.Dictionary{"_software_release_document": "u"},
		),
		"_connection_dict: expected a dictionary, got a text": partition(proto.Dictionary{"_connection_dict": "x"}),
		"_parameter_dict.ip_list: expected tuples of 2 texts, got a tuple": partition(
			proto.Dictionary{"_parameter_dict": proto.Dictionary{"ip_list": proto.List{proto.Tuple{"a"}}}},
		),
		"_parameter_dict.ip_list: expected tuples of texts, got a number": partition(
			proto.Dictionary{"_parameter_dict": proto.Dictionary{"ip_list": proto.List{proto.Tuple{"a", 1.5}}}},
		),
		"slave_instance_list[0]: expected a dictionary, got a set": partition(
			proto.Dictionary{"_parameter_dict": proto.Dictionary{"slave_instance_list": proto.List{proto.Set{}}}},
		),
		"timestamp: expected an integer, got a text": partition(
			proto.Dictionary{"_parameter_dict": proto.Dictionary{"slave_instance_list": proto.List{proto.Dictionary{"timestamp": "x"}}}},
		),
		"SoftwareInstance.slap_computer_id: expected a text, got a SoftwareInstance": &proto.Object{
			Class:      proto.ClassInstance,
			Attributes: proto.Dictionary{"slap_computer_id": &proto.Object{Class: proto.ClassInstance}},
		},
	} {
		c, err := proto.ReadComputer(v)
		none := c == nil
		if o, ok := v.(*proto.Object); ok && o.Class == proto.ClassPartition {
			var p *proto.Partition
			p, err = proto.ReadPartition(v)
			none = p == nil
		} else if ok && o.Class == proto.ClassInstance {
			var n *proto.Instance
			n, err = proto.ReadInstance(v)
			none = n == nil
		}
		if !none || !errors.Is(err, proto.ErrMalformed) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want %q", err, says)
		}
	}
}

func TestRequestBothWays(t *testing.T) {
	for _, want := range []*proto.Request{
		{
			Release: demo, Type: "default", Title: "é", Parameters: proto.Dictionary{"a": int64(1), "b": proto.List{}},
			Filter: proto.Dictionary{"computer_guid": "C"}, State: proto.Started,
		},
		{
			Release: demo, Type: "t", Title: "child", Computer: "C", Partition: "p", Parameters: proto.Dictionary{},
			Filter: proto.Dictionary{}, Shared: true, Project: "P",
		},
	} {
		form, err := want.Form()
		if err != nil {
			t.Fatal(err)
		}
		got, err := proto.ParseRequest(form)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf(`err = %v d = %s; want no error and d == ""`, err, d)
		}
	}
	form, err := (&proto.Request{Release: "u", Title: "t"}).Form()
	want := url.Values{"software_release": {"u"}, "software_type": {"default"}, "partition_reference": {"t"}, "state": {in("<none/>")},
		"partition_parameter_xml": {in(`<dictionary id="i2"/>`)}, "filter_xml": {in(`<dictionary id="i2"/>`)},
		"shared_xml": {in("<bool>0</bool>")}}
	if d := cmp.Diff(want, form); err != nil || d != "" {
		t.Errorf(`err = %v d = %s; want no error and d == ""`, err, d)
	}
	if _, err := (&proto.Request{Parameters: proto.Dictionary{"port": "\x01"}}).Form(); !errors.Is(err, proto.ErrUnwritable) ||
		!strings.Contains(err.Error(), "partition_parameter_xml.port") {
		t.Errorf(`err = %v; want error proto.ErrUnwritable and err.Error() with "partition_parameter_xml.port"`, err)
	}
}

func TestRequestFields(t *testing.T) {
	fields := func(more ...string) url.Values {
		form := url.Values{"software_release": {"u"}, "software_type": {""}, "partition_reference": {"t"}, "state": {in("<none/>")}}
		for i := 0; i < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		return form
	}
	got, err := proto.ParseRequest(fields(
		"computer_id", "None", "computer_partition_id", "NONE", "project_reference", "none", "shared_xml", "None",
		"filter_xml", in("<none/>"), "state", "None",
	))
	if d := cmp.Diff(&proto.Request{Release: "u", Title: "t"}, got); err != nil || d != "" {
		t.Errorf(`err = %v d = %s; want no error and d == ""`, err, d)
	}
	if got, err := proto.ParseRequest(fields("shared_xml", in("<int>1</int>"))); err != nil || !got.Shared {
		t.Errorf("got = %+v, err = %v; want no error and got.Shared", got, err)
	}
	for _, c := range []struct{ field, value, says string }{
		{"state", in("<int>1</int>"), "state: expected a text, got a number"},
		{"state", "<marshal>", "slap: state: not XML"},
		{"filter_xml", in("<list/>"), "filter_xml: expected a dictionary, got a list"},
		{"partition_parameter_xml", in("<dictionary><none/></dictionary>"), "partition_parameter_xml.byte"},
		{"shared_xml", in("<string>1</string>"), "shared_xml: expected a boolean"},
	} {
		if _, err := proto.ParseRequest(fields(c.field, c.value)); !errors.Is(err, proto.ErrMalformed) ||
			!strings.Contains(err.Error(), c.says) {
			t.Errorf("%v; want %q", err, c.says)
		}
	}
	for _, field := range []string{"software_release", "software_type", "partition_reference", "state"} {
		form := fields()
		form.Del(field)
		if _, err := proto.ParseRequest(form); !errors.Is(err, proto.ErrMalformed) ||
			!strings.Contains(err.Error(), field+": this field is missing") {
			t.Errorf("without %s: %v", field, err)
		}
	}
	if _, err := proto.ParseField(url.Values{}, "xml"); !errors.Is(err, proto.ErrMalformed) ||
		!strings.Contains(err.Error(), "xml: this field is missing") {
		t.Error(err)
	}
}

func TestConfiguration(t *testing.T) {
	part := func(name any, more proto.Dictionary) proto.Dictionary {
		d := proto.Dictionary{"reference": name, "tap": proto.Dictionary{"name": "tap0", "ipv4_addr": ""}, "tun": nil,
			"address_list": proto.List{proto.Dictionary{"addr": "10.0.0.1", "netmask": "255.255.255.255"}}}
		for k, v := range more {
			d[k] = v
		}
		return d
	}
	got, err := proto.ReadConfiguration(proto.Dictionary{"reference": "C", "address": "::1", "netmask": nil, "software_root": "/opt",
		"partition_list": proto.List{part("p0", nil), part("p1", proto.Dictionary{"tap": nil, "address_list": proto.List{}})}})
	want := &proto.Configuration{Computer: "C", Address: "::1", Partitions: []proto.ConfiguredPartition{
		{ID: "p0", Interface: "tap0", Addresses: []proto.ConfiguredAddress{{IP: "10.0.0.1", Netmask: "255.255.255.255"}}}, {ID: "p1"}}}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf(`err = %v d = %s; want no error and d == ""`, err, d)
	}
	for says, v := range map[string]any{
		"a dictionary, got a list":                 proto.List{},
		"reference: a computer needs a name":       proto.Dictionary{"address": "a"},
		"partition_list: expected a list":          proto.Dictionary{"reference": "C", "partition_list": "x"},
		"partition_list[0]: expected a dictionary": proto.Dictionary{"reference": "C", "partition_list": proto.List{"x"}},
		"partition_list[1].reference: two partitions": proto.Dictionary{
			"reference": "C", "partition_list": proto.List{part("p", nil), part("p", nil)},
		},
		"partition_list[0].reference: a partition": proto.Dictionary{
			"reference": "C", "partition_list": proto.List{part(nil, nil)},
		},
		"partition_list[0].address_list: expected dictionaries": proto.Dictionary{
			"reference": "C", "partition_list": proto.List{part("p", proto.Dictionary{"address_list": proto.List{"x"}})},
		},
		"partition_list[0].tap: expected a dictionary": proto.Dictionary{
			"reference": "C", "partition_list": proto.List{part("p", proto.Dictionary{"tap": "x"})},
		},
	} {
		if _, err := proto.ReadConfiguration(v); !errors.Is(err, proto.ErrMalformed) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want %q", err, says)
		}
	}
}
