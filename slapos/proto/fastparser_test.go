package proto_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/slapos/proto"
)

// sameValue says whether values are the same, as what is written of them is where a number among
// them is none.
func sameValue(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	first, err := proto.Marshal(a)
	second, err2 := proto.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(first, second) && bytes.Contains(first, []byte("nan"))
}

// odd are documents that the quick reader may get wrong where it is careless, in texts, tags and
// what is around them.
var odd = []string{
	"\ufeff" + in("<none/>"), "<?xml version='1.0' encoding='utf-8'?>\n" + in("<none/>"),
	`<?xml version="1.1"?>` + in("<none/>"), " \n" + in("<none/>") + "\r\n", in("<none/>") + "x",
	in("<none/>") + in("<none/>"),
	in("<string>a]]>b</string>"), in("<string>a]]&gt;b</string>"), in("<string>a>b</string>"),
	in("<string>a\rb\r\nc</string>"), in("<string>a&#13;b&#x41;&#0065;&#55296;&#0;</string>"),
	in("<string>&#55296;</string>"), in("<string>&#65534;</string>"), in("<string>&#99999999;</string>"),
	in("<string>&#;</string>"), in("<string>&amp</string>"), in("<string>&copy;</string>"),
	in("<string>&apos;&quot;</string>"),
	in("<string>\x01</string>"), in("<string>\x7f</string>"), in("<string>\xff</string>"), in("<string>\ufffe</string>"),
	in("<string>é</string>"), in("<string><![CDATA[a]]></string>"), in("<string>a<!-- b -->c</string>"),
	in("<string></unicode>"), in("<string />"), in("<string></string >"), in(`<string id="i2">a</string>`),
	in("<string/>"), in("<int> 7\n</int>"), in("<int></int>"), in("<bool>x</bool>"), in("<float>nan</float>"),
	in("<none> </none>"), in("<none>a</none>"),
	in(`<list id="i2" id="i3"/>`), in(`<list id='i2'/>`), in(`<list id="i2"/ >`),
	in(`<list id="i2"><int>1</int> <int>2</int></list>`), in(`<list id="i2">x</list>`), in(`<list id="i2">`),
	in(`<list id="i2"></tuple>`),
	in(`<dictionary id="i2"><string>a</string></dictionary>`),
	in(`<dictionary id="i2"><int>1</int><int>2</int></dictionary>`),
	in(`<dictionary id="i2"><string>a</string><int>1</int><string>a</string><int>2</int></dictionary>`),
	in(`<object id="i2" module="slapos.slap.slap" class="Computer"><tuple/><dictionary id="i3"/></object>`),
	in(`<object id="i2" module="slapos.slap.slap" class="Computer"><dictionary id="i3"/><tuple/></object>`),
	in(`<object id="i2" class="Computer" module="slapos.slap.slap"><tuple/><dictionary id="i3"/></object>`),
	in(`<object id="i2" module="os" class="Computer"><tuple/><dictionary id="i3"/></object>`),
	in(strings.Repeat("<tuple>", proto.MaxDepth) + strings.Repeat("</tuple>", proto.MaxDepth)),
	in(strings.Repeat("<tuple>", proto.MaxDepth+1) + strings.Repeat("</tuple>", proto.MaxDepth+1)),
	in("<marshal><none/></marshal>"), in(""), "<marshal/>", "", "<", in("<code></code>"), in("<complex>1 2</complex>"),
	"<m:marshal xmlns:m='x'><m:none/></m:marshal>",
}

// What the quick reader reads, the careful one reads, and it is the same.
func FuzzQuick(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(string(seed))
	}
	for _, seed := range odd {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		if v, ok := proto.Quick(doc); ok {
			want, err := proto.Careful(doc)
			if err != nil || !sameValue(want, v) {
				t.Fatalf("%q: %#v, %v; quickly %#v", doc, want, err, v)
			}
		}
	})
}

func FuzzQuickParameters(f *testing.F) {
	for _, seed := range []string{"<instance/>", declaration + "<instance/>\n",
		declaration + "<instance>\n  <parameter id=\"a\">b &amp; c</parameter>\n</instance>\n",
		`<instance><parameter id="a"/></instance>`,
		`<instance><parameter id="a"/><parameter id="a">1</parameter></instance>`,
		`<instance>x<parameter id="a"></parameter></instance>`,
		`<instance><parameter id="a&quot;&#10;&lt;">é]]&gt;</parameter></instance>`,
		"<instance><parameter id=\"a\nb\tc\">1\r2</parameter></instance>",
		`<instance><parameter id="a>b">c</parameter></instance>`, `<instance></instance><x/>`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		if v, ok := proto.QuickParameters(doc); ok {
			want, err := proto.CarefulParameters(doc)
			if err != nil || !sameValue(want, v) {
				t.Fatalf("%q: %#v, %v; quickly %#v", doc, want, err, v)
			}
		}
	})
}

// All that is written here is read by the quick reader, or it is of no use.
func TestQuickReads(t *testing.T) {
	for _, c := range written {
		if strings.Contains(c.xml, "<complex>") {
			continue
		}
		if _, ok := proto.Quick(in(c.xml)); !ok {
			t.Errorf("%s is not read quickly", c.xml)
		}
	}
	doc, err := proto.Marshal(hundred().Object())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := proto.Quick(string(doc)); !ok {
		t.Error("a computer is not read quickly")
	}
	text, err := proto.FormatParameters(proto.Dictionary{"a": "x & y\r\n<é>", "b\"": "", "_": `{"c": 1}`})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := proto.QuickParameters(text); !ok {
		t.Errorf("%s is not read quickly", text)
	}
}
