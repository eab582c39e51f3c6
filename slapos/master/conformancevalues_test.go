package master_test

import (
	"math"
	"strings"

	"github.com/hostler-project/hostler/slapos/proto"
)

// xml is a request whose parameters are this document.
func xml(doc string) step { return want("a", "partition_parameter_xml", doc) }

// parameter is a request whose parameter k is this element.
func parameter(element string) step {
	return xml(`<marshal><dictionary id="i2"><string>k</string>` + element + `</dictionary></marshal>`)
}

// keptAs is the parameter k that comes back.
func keptAs(element, text string) rule {
	return rule{"1.2.2", "parameter " + element, []step{
		format("C", "p0"), parameter(element).is(200, "_parameter_dict/k="+text), part("C", "p0").is(200, "_parameter_dict/k="+text)}}
}

// malformed is a document that is refused.
func malformed(what, doc string) rule {
	return rule{"1.1", what + " is refused", []step{
		format("C", "p0"), xml(doc).is(400, "~partition_parameter_xml"), part("C", "p0").is(200, "!_parameter_dict"),
		tell(
			"setComputerPartitionConnectionXml", "computer_id", "C", "computer_partition_id", "p0", "connection_xml",
			doc,
		).is(400, "~connection_xml"),
		tell("loadComputerConfigurationFromXML", "xml", doc).is(400, "~xml")}}
}

// bomb is a document that grows when its references are followed.
func bomb() string {
	var b strings.Builder
	b.WriteString(`<marshal><dictionary id="i2"><string>k</string><list id="i3">`)
	b.WriteString(`<list id="i4"><string>` + strings.Repeat("x", 100) + `</string></list>`)
	for i := 5; i < 60; i++ {
		b.WriteString(`<list id="i` + string(rune('0'+i/10)) + string(rune('0'+i%10)) + `">`)
		for range 10 {
			b.WriteString(`<reference id="i` + strings.TrimPrefix(string(rune('0'+(i-1)/10))+string(rune('0'+(i-1)%10)), "0") + `"/>`)
		}
		b.WriteString(`</list>`)
	}
	return b.String() + `</list></dictionary></marshal>`
}

var rulesOfValues = []rule{
	{"1.1", "text is escaped twice", []step{format("C", "p0"),
		want("a", "p.k", `a & b <c> "q" 's' é 😀`).is(200, `_parameter_dict/k=a & b <c> "q" 's' é 😀`),
		part("C", "p0").is(200, `_parameter_dict/k=a & b <c> "q" 's' é 😀`)}},
	{
		"1.1", "output is ASCII",
		[]step{
			format("C", "p0"), want("Größe 😀").is(200, "!~ß", "!~😀"),
			part("C", "p0").is(200, "_parameter_dict/instance_title=Größe 😀", "!~ß"),
		},
	},
	{
		"1.1", "text that is escaped once is read",
		[]step{format("C", "p0"), parameter("<string>a &amp; &lt;b&gt;</string>").is(200, "_parameter_dict/k=a & <b>")},
	},
	{
		"1.1", "a carriage return comes back",
		[]step{
			format("C", "p0"), parameter("<string>a&#13;\nb\tc</string>").is(200, "_parameter_dict/k=a\r\nb\tc"),
			part("C", "p0").is(200, "_parameter_dict/k=a\r\nb\tc"),
		},
	},
	{"1.1", "white space and a declaration are accepted", []step{format("C", "p0"),
		xml(
			"<?xml version='1.0'?>\n<marshal>\n  <dictionary id=\"i2\">\n <string>k</string> <string>v</string>\n</dictionary>\n</marshal>\n",
		).is(200, "_parameter_dict/k=v")}},
	{"1.1", "namespaces are accepted", []step{format("C", "p0"),
		xml(
			`<marshal:marshal xmlns:marshal="http://www.erp5.org/namespaces/marshaller"><marshal:dictionary id="i2"><marshal:string>k</marshal:string><marshal:string>v</marshal:string></marshal:dictionary></marshal:marshal>`,
		).is(200, "_parameter_dict/k=v")}},
	{"1.1", "any order of keys is accepted, and theirs is that of bytes", []step{format("C", "p0"),
		xml(
			`<marshal><dictionary id="i2"><string>z</string><string>1</string><string>a</string><string>2</string></dictionary></marshal>`,
		).is(200,
			`~<string>a</string><string>2</string><string>timestamp</string>`, "_parameter_dict/z=1")}},
	{"1.1", "references are read", []step{format("C", "p0"),
		xml(
			`<marshal><dictionary id="i2"><string>a</string><list id="i3"><int>1</int></list><string>b</string><reference id="i3"/></dictionary></marshal>`,
		).is(
			200, "_parameter_dict/a=[1]", "_parameter_dict/b=[1]",
		)}},
	{
		"1.1", "references do not multiply memory",
		[]step{format("C", "p0"), xml(bomb()).is(400, "~partition_parameter_xml"), part("C", "p0").is(200, "!_parameter_dict")},
	},
	{"1.1", "only four classes are allowed", []step{format("C", "p0"),
		parameter(`<object id="i3" module="os" class="system"><tuple/><dictionary id="i4"/></object>`).is(400),
		parameter(`<object id="i3" module="slapos.slap.slap" class="Supply"><tuple/><dictionary id="i4"/></object>`).is(400),
		parameter(`<object id="i3" module="slapos.slap" class="Computer"><tuple/><dictionary id="i4"/></object>`).is(400)}},
	malformed("code", `<marshal><code>aGVsbG8=</code></marshal>`),
	malformed("an unknown element", `<marshal><dictionary id="i2"><string>k</string><bytes>x</bytes></dictionary></marshal>`),
	malformed("marshal within", `<marshal><dictionary id="i2"><string>k</string><marshal><none/></marshal></dictionary></marshal>`),
	malformed("no value", `<marshal></marshal>`),
	malformed("more than one value", `<marshal><dictionary id="i2"/><dictionary id="i3"/></marshal>`),
	malformed("a dictionary of odd children", `<marshal><dictionary id="i2"><string>k</string></dictionary></marshal>`),
	malformed("an object of one child", `<marshal><object id="i2" module="slapos.slap.slap" class="Computer"><tuple/></object></marshal>`),
	malformed(
		"an object of other children",
		`<marshal><object id="i2" module="slapos.slap.slap" class="Computer"><list id="i3"/><dictionary id="i4"/></object></marshal>`,
	),
	malformed("an element in a scalar", `<marshal><dictionary id="i2"><string>k</string><string>a<b/></string></dictionary></marshal>`),
	malformed("text between elements", `<marshal><dictionary id="i2">x<string>k</string><string>v</string></dictionary></marshal>`),
	malformed(
		"a document type",
		`<!DOCTYPE marshal [<!ENTITY e "x">]><marshal><dictionary id="i2"><string>k</string><string>&e;</string></dictionary></marshal>`,
	),
	malformed("what follows the root", `<marshal><dictionary id="i2"/></marshal><x/>`),
	malformed("a reference to what is open", `<marshal><dictionary id="i2"><string>k</string><reference id="i2"/></dictionary></marshal>`),
	malformed("a reference to nothing", `<marshal><dictionary id="i2"><string>k</string><reference id="i9"/></dictionary></marshal>`),
	malformed("what is not closed", `<marshal><dictionary id="i2">`),
	malformed("no XML", `{}`),
	malformed("an empty document", " "),
	malformed("an integer of letters", `<marshal><dictionary id="i2"><string>k</string><int>x</int></dictionary></marshal>`),
	malformed(
		"a character that XML cannot carry",
		"<marshal><dictionary id=\"i2\"><string>k</string><string>\x01</string></dictionary></marshal>",
	),
	malformed(
		"a reference to a character that XML cannot carry",
		`<marshal><dictionary id="i2"><string>k</string><string>&#0;</string></dictionary></marshal>`,
	),
	malformed("what is no UTF-8", "<marshal><dictionary id=\"i2\"><string>k</string><string>\xff</string></dictionary></marshal>"),
	malformed("depth without end", strings.Repeat(`<marshal>`, 1)+strings.Repeat(`<list id="i2">`, 100000)),
	{"1.2", "fields that are no dictionaries are refused", []step{format("C", "p0"), xml(value("x")).is(400, "~partition_parameter_xml"), want("a").is(200),
		tell("loadComputerConfigurationFromXML", "xml", value("x")).is(400, "~a dictionary"),
		tell(
			"setComputerPartitionConnectionXml", "computer_id", "C", "computer_partition_id", "p0", "connection_xml",
			value("x"),
		).is(400, "~connection_xml")}},

	{"1.2.2", "the storage is a document of texts", []step{format("C", "p0"),
		want("a", "p.domain", "example.org", "p.port", "8080").is(200),
		tell(
			"setComputerPartitionConnectionXml", "computer_id", "C", "computer_partition_id", "p0", "connection_xml",
			value(proto.Dictionary{"b": "x & y", "a": "é"}),
		).is(200, "~done"),
		want("a", "p.domain", "example.org", "p.port", "8080").is(200,
			"connection_xml=<?xml version='1.0' encoding='utf-8'?>\n<instance>\n  <parameter id=\"a\">é</parameter>\n  <parameter id=\"b\">x &amp; y</parameter>\n</instance>\n"),
		look("/hateoas/partitions/a").is(
			200,
			"_embedded/_view/my_text_content/default=<?xml version='1.0' encoding='utf-8'?>\n<instance>\n  <parameter id=\"domain\">example.org</parameter>\n  <parameter id=\"port\">8080</parameter>\n</instance>\n",
		)}},
	{
		"1.2.2", "JSON in XML is a text",
		[]step{format("C", "p0"), want("a", "p._", `{"a": [1, "é"]}`).is(200, `_parameter_dict/_={"a": [1, "é"]}`)},
	},
	keptAs("<int>8080</int>", "8080"), keptAs("<int> -1 </int>", "-1"),
	keptAs("<long>10000000000000000000000000</long>", "10000000000000000000000000"),
	keptAs("<bool>1</bool>", "True"), keptAs("<bool>0</bool>", "False"), keptAs("<bool>7</bool>", "True"), keptAs("<none/>", "None"),
	keptAs("<float>1.5</float>", "1.5"), keptAs("<float>5.0</float>", "5.0"), keptAs("<float>1e+22</float>", "1e+22"),
	keptAs("<float>1e-05</float>", "1e-05"),
	keptAs("<unicode>é</unicode>", "é"), keptAs(`<list id="i3"><int>1</int><string>a</string></list>`, "[1, 'a']"),
	keptAs("<string>a&#9;b</string>", "a\tb"),
	{
		"1.2.2", "numbers without an end are texts too",
		[]step{
			format("C", "p0"),
			xml(value(proto.Dictionary{"k": math.Inf(1), "l": math.Inf(-1)})).is(200, "_parameter_dict/k=inf", "_parameter_dict/l=-inf"),
		},
	},
	{"1.2.2", "an empty text is null when it is read", []step{format("C", "p0"), want("a", "p.k", "").is(200, "_parameter_dict/k=<nil>")}},
}
