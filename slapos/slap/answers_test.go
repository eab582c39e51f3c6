package slap_test

import (
	"errors"
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostler-project/hostler/slapos/slap"
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
		t.Errorf("%s: %s", name, d)
	}
}

const demo = "https://software.example/demo/software.cfg?a=1&b=2"

// busy is a partition with all that a master may say of one.
func busy() slap.Partition {
	return slap.Partition{
		Computer: "COMP-1", ID: "slappart0", GUID: "COMP-1-slappart0", State: slap.Started, Release: demo, Type: "default",
		Title: "Größe <1>", RootTitle: "root", RootShortTitle: "r", Timestamp: "1795157840.5348501",
		Parameters: slap.Dictionary{"_": `{"a": "b & c"}`, "empty": nil},
		Connection: slap.Dictionary{"url": "https://[2001:db8::2]/?a=1&b=2"},
		Addresses:  []slap.Address{{Interface: "tap0", IP: "10.0.0.1"}, {Interface: "tap0", IP: "2001:db8::2"}},
		FullAddresses: []slap.FullAddress{{
			Interface: "tap0", IP: "10.1.0.1", Gateway: "10.1.0.254", Netmask: "255.255.255.0", Network: "10.1.0.0/24",
		}},
		Shared: []slap.SharedInstance{
			{Title: "_one", Reference: "_one", Type: "default", Parameters: slap.Dictionary{"name": "shared one"}},
			{Title: "root_two", Reference: "root_two", Type: "other", Timestamp: 1795157840534850, Parameters: slap.Dictionary{}},
		},
		Filter: slap.Dictionary{"computer_guid": "COMP-1"},
	}
}

func TestComputerBothWays(t *testing.T) {
	busy := busy()
	want := &slap.Computer{ID: "COMP-1",
		Partitions: []slap.Partition{busy, {Computer: "COMP-1", ID: "slappart1", GUID: "COMP-1-slappart1", State: slap.Destroyed}},
		Releases: []slap.Release{{URL: demo, Computer: "COMP-1", State: slap.Available},
			{URL: "/srv/other.cfg", Computer: "COMP-1", State: slap.Destroyed},
			{URL: "old", Computer: "COMP-1"}},
	}
	doc, err := slap.Marshal(want.Object())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "computer.xml", doc)
	got, err := slap.ReadComputer(sameBytes(t, "computer.xml", doc))
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	doc, err = slap.Marshal(busy.Object())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "partition.xml", doc)
	one, err := slap.ReadPartition(sameBytes(t, "partition.xml", doc))
	if d := cmp.Diff(&busy, one); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	if p := busy.Parameters; len(p) != 2 {
		t.Errorf("writing has changed the parameters: %v", p)
	}
}

// A parameter does not hide what the master says under the same name.
func TestReservedNames(t *testing.T) {
	p := busy()
	p.Timestamp = ""
	p.Parameters = slap.Dictionary{"instance_title": "not mine", "ip_list": "none", "timestamp": "1", "other": "o"}
	d := p.Object().Attributes["_parameter_dict"].(slap.Dictionary)
	if d["instance_title"] != p.Title || d["slap_computer_id"] != "COMP-1" || d["other"] != "o" || len(d["ip_list"].(slap.List)) != 2 {
		t.Errorf("%v", d)
	}
}

func TestInstanceBothWays(t *testing.T) {
	for name, want := range map[string]*slap.Instance{
		"instance.xml": {Computer: "COMP-1", Partition: "slappart0", GUID: "COMP-1-slappart0", State: slap.Stopped,
			Release: demo, Type: "default",
			Timestamp: "1795157840.5348501", Parameters: slap.Dictionary{"port": "8080"}, Connection: slap.Dictionary{"url": "u"},
			ConnectionXML: declaration + "<instance>\n  <parameter id=\"url\">u</parameter>\n</instance>\n",
			Addresses:     []slap.Address{{Interface: "tap0", IP: "10.0.0.1"}}},
		"shared.xml": {Computer: "COMP-1", Partition: "slappart0", Release: demo, Type: "default", Shared: true,
			Parameters: slap.Dictionary{"name": "n"}, Connection: slap.Dictionary{},
			Addresses: []slap.Address{{Interface: "tap0", IP: "10.0.0.1"}}},
		"full.xml": {Computer: "COMP-1", Partition: "slappart0", GUID: "g", State: slap.Started, Release: demo,
			Type: "t", Title: "a", RootTitle: "r",
			Parameters: slap.Dictionary{}, Connection: slap.Dictionary{}, Filter: slap.Dictionary{"computer_guid": "COMP-1"},
			FullAddresses: []slap.FullAddress{{
				Interface: "tap0", IP: "10.1.0.1", Gateway: "10.1.0.254", Netmask: "255.255.255.0",
				Network: "10.1.0.0/24",
			}}},
	} {
		doc, err := slap.Marshal(want.Object())
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, doc)
		got, err := slap.ReadInstance(sameBytes(t, name, doc))
		want.Shared = false
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%s: %v %s", name, err, d)
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
	v, err := slap.Unmarshal([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	got, err := slap.ReadPartition(v)
	want := &slap.Partition{Computer: "C", ID: "p", Release: "u", Timestamp: "1795157840534850", Parameters: slap.Dictionary{},
		Addresses: []slap.Address{{Interface: "tap"}}, AccessStatus: "#error no promise"}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	answer := &slap.Object{Class: slap.ClassPartition, Args: slap.Tuple{"", "Fake", nil}, Attributes: slap.Dictionary{
		"slap_computer_id": "", "slap_computer_partition_id": "", "_connection_dict": slap.Dictionary{"url": "u"}}}
	if n, err := slap.ReadInstance(answer); err != nil || n.Computer != "" || n.Connection["url"] != "u" {
		t.Errorf("%+v, %v", n, err)
	}
}

func TestWrongKinds(t *testing.T) {
	partition := func(d slap.Dictionary) *slap.Object {
		if d["_software_release_document"] == nil {
			d["_software_release_document"] = (&slap.Release{URL: "u", Computer: "C"}).Object()
		}
		return &slap.Object{Class: slap.ClassPartition, Attributes: d}
	}
	for says, v := range map[string]any{
		"expected a Computer, got none": nil,
		"Computer._computer_id: expected a text, got a number": &slap.Object{
			Class: slap.ClassComputer, Attributes: slap.Dictionary{"_computer_id": int64(1)},
		},
		"Computer._computer_partition_list: expected a list, got a dictionary": &slap.Object{
			Class: slap.ClassComputer, Attributes: slap.Dictionary{"_computer_partition_list": slap.Dictionary{}},
		},
		"Computer: expected a ComputerPartition, got a boolean": &slap.Object{
			Class: slap.ClassComputer, Attributes: slap.Dictionary{"_computer_partition_list": slap.List{true}},
		},
		"Computer._software_release_list: expected a SoftwareRelease, got a tuple": &slap.Object{
			Class: slap.ClassComputer, Attributes: slap.Dictionary{"_software_release_list": slap.List{slap.Tuple{}}},
		},
		"ComputerPartition._software_release_document: expected a SoftwareRelease": partition(
			slap.Dictionary{"_software_release_document": "u"},
		),
		"_connection_dict: expected a dictionary, got a text": partition(slap.Dictionary{"_connection_dict": "x"}),
		"_parameter_dict.ip_list: expected tuples of 2 texts, got a tuple": partition(
			slap.Dictionary{"_parameter_dict": slap.Dictionary{"ip_list": slap.List{slap.Tuple{"a"}}}},
		),
		"_parameter_dict.ip_list: expected tuples of texts, got a number": partition(
			slap.Dictionary{"_parameter_dict": slap.Dictionary{"ip_list": slap.List{slap.Tuple{"a", 1.5}}}},
		),
		"slave_instance_list[0]: expected a dictionary, got a set": partition(
			slap.Dictionary{"_parameter_dict": slap.Dictionary{"slave_instance_list": slap.List{slap.Set{}}}},
		),
		"timestamp: expected an integer, got a text": partition(
			slap.Dictionary{"_parameter_dict": slap.Dictionary{"slave_instance_list": slap.List{slap.Dictionary{"timestamp": "x"}}}},
		),
		"SoftwareInstance.slap_computer_id: expected a text, got a SoftwareInstance": &slap.Object{
			Class:      slap.ClassInstance,
			Attributes: slap.Dictionary{"slap_computer_id": &slap.Object{Class: slap.ClassInstance}},
		},
	} {
		c, err := slap.ReadComputer(v)
		none := c == nil
		if o, ok := v.(*slap.Object); ok && o.Class == slap.ClassPartition {
			var p *slap.Partition
			p, err = slap.ReadPartition(v)
			none = p == nil
		} else if ok && o.Class == slap.ClassInstance {
			var n *slap.Instance
			n, err = slap.ReadInstance(v)
			none = n == nil
		}
		if !none || !errors.Is(err, slap.ErrMalformed) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want %q", err, says)
		}
	}
}

func TestRequestBothWays(t *testing.T) {
	for _, want := range []*slap.Request{
		{
			Release: demo, Type: "default", Title: "é", Parameters: slap.Dictionary{"a": int64(1), "b": slap.List{}},
			Filter: slap.Dictionary{"computer_guid": "C"}, State: slap.Started,
		},
		{
			Release: demo, Type: "t", Title: "child", Computer: "C", Partition: "p", Parameters: slap.Dictionary{},
			Filter: slap.Dictionary{}, Shared: true, Project: "P",
		},
	} {
		form, err := want.Form()
		if err != nil {
			t.Fatal(err)
		}
		got, err := slap.ParseRequest(form)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
	}
	form, err := (&slap.Request{Release: "u", Title: "t"}).Form()
	want := url.Values{"software_release": {"u"}, "software_type": {"default"}, "partition_reference": {"t"}, "state": {in("<none/>")},
		"partition_parameter_xml": {in(`<dictionary id="i2"/>`)}, "filter_xml": {in(`<dictionary id="i2"/>`)},
		"shared_xml": {in("<bool>0</bool>")}}
	if d := cmp.Diff(want, form); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	if _, err := (&slap.Request{Parameters: slap.Dictionary{"port": "\x01"}}).Form(); !errors.Is(err, slap.ErrUnwritable) ||
		!strings.Contains(err.Error(), "partition_parameter_xml.port") {
		t.Errorf("%v", err)
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
	got, err := slap.ParseRequest(fields(
		"computer_id", "None", "computer_partition_id", "NONE", "project_reference", "none", "shared_xml", "None",
		"filter_xml", in("<none/>"), "state", "None",
	))
	if d := cmp.Diff(&slap.Request{Release: "u", Title: "t"}, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	if got, err := slap.ParseRequest(fields("shared_xml", in("<int>1</int>"))); err != nil || !got.Shared {
		t.Errorf("%+v, %v", got, err)
	}
	for _, c := range []struct{ field, value, says string }{
		{"state", in("<int>1</int>"), "state: expected a text, got a number"},
		{"state", "<marshal>", "slap: state: not XML"},
		{"filter_xml", in("<list/>"), "filter_xml: expected a dictionary, got a list"},
		{"partition_parameter_xml", in("<dictionary><none/></dictionary>"), "partition_parameter_xml.byte"},
		{"shared_xml", in("<string>1</string>"), "shared_xml: expected a boolean"},
	} {
		if _, err := slap.ParseRequest(fields(c.field, c.value)); !errors.Is(err, slap.ErrMalformed) ||
			!strings.Contains(err.Error(), c.says) {
			t.Errorf("%v; want %q", err, c.says)
		}
	}
	for _, field := range []string{"software_release", "software_type", "partition_reference", "state"} {
		form := fields()
		form.Del(field)
		if _, err := slap.ParseRequest(form); !errors.Is(err, slap.ErrMalformed) ||
			!strings.Contains(err.Error(), field+": this field is missing") {
			t.Errorf("without %s: %v", field, err)
		}
	}
	if _, err := slap.ParseField(url.Values{}, "xml"); !errors.Is(err, slap.ErrMalformed) ||
		!strings.Contains(err.Error(), "xml: this field is missing") {
		t.Error(err)
	}
}

func TestConfiguration(t *testing.T) {
	part := func(name any, more slap.Dictionary) slap.Dictionary {
		d := slap.Dictionary{"reference": name, "tap": slap.Dictionary{"name": "tap0", "ipv4_addr": ""}, "tun": nil,
			"address_list": slap.List{slap.Dictionary{"addr": "10.0.0.1", "netmask": "255.255.255.255"}}}
		for k, v := range more {
			d[k] = v
		}
		return d
	}
	got, err := slap.ReadConfiguration(slap.Dictionary{"reference": "C", "address": "::1", "netmask": nil, "software_root": "/opt",
		"partition_list": slap.List{part("p0", nil), part("p1", slap.Dictionary{"tap": nil, "address_list": slap.List{}})}})
	want := &slap.Configuration{Computer: "C", Address: "::1", Partitions: []slap.ConfiguredPartition{
		{ID: "p0", Interface: "tap0", Addresses: []slap.ConfiguredAddress{{IP: "10.0.0.1", Netmask: "255.255.255.255"}}}, {ID: "p1"}}}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	for says, v := range map[string]any{
		"a dictionary, got a list":                 slap.List{},
		"reference: a computer needs a name":       slap.Dictionary{"address": "a"},
		"partition_list: expected a list":          slap.Dictionary{"reference": "C", "partition_list": "x"},
		"partition_list[0]: expected a dictionary": slap.Dictionary{"reference": "C", "partition_list": slap.List{"x"}},
		"partition_list[1].reference: two partitions": slap.Dictionary{
			"reference": "C", "partition_list": slap.List{part("p", nil), part("p", nil)},
		},
		"partition_list[0].reference: a partition": slap.Dictionary{
			"reference": "C", "partition_list": slap.List{part(nil, nil)},
		},
		"partition_list[0].address_list: expected dictionaries": slap.Dictionary{
			"reference": "C", "partition_list": slap.List{part("p", slap.Dictionary{"address_list": slap.List{"x"}})},
		},
		"partition_list[0].tap: expected a dictionary": slap.Dictionary{
			"reference": "C", "partition_list": slap.List{part("p", slap.Dictionary{"tap": "x"})},
		},
	} {
		if _, err := slap.ReadConfiguration(v); !errors.Is(err, slap.ErrMalformed) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want %q", err, says)
		}
	}
}
