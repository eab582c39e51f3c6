package proto_test

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostler-project/hostler/slapos/proto"
)

func bigInt(text string) *big.Int {
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		panic(text)
	}
	return n
}

var sameInt = cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })

// written are values and what is written for them; each is read back the same.
var written = []struct {
	value any
	xml   string // within <marshal>
}{
	{nil, `<none/>`},
	{true, `<bool>1</bool>`},
	{false, `<bool>0</bool>`},
	{int64(0), `<int>0</int>`},
	{int64(math.MinInt64), `<int>-9223372036854775808</int>`},
	{bigInt("999999999999999999999999"), `<int>999999999999999999999999</int>`},
	{bigInt("1000000000000000000000000"), `<long>1000000000000000000000000</long>`},
	{bigInt("-1000000000000000000000000"), `<long>-1000000000000000000000000</long>`},
	{5.0, `<float>5.0</float>`},
	{-2.5, `<float>-2.5</float>`},
	{0.1, `<float>0.1</float>`},
	{0.0, `<float>0.0</float>`},
	{math.Copysign(0, -1), `<float>-0.0</float>`},
	{0.0001, `<float>0.0001</float>`},
	{0.00001, `<float>1e-05</float>`},
	{1.5e-7, `<float>1.5e-07</float>`},
	{9999999999999998.0, `<float>9999999999999998.0</float>`},
	{1e16, `<float>1e+16</float>`},
	{1.25e22, `<float>1.25e+22</float>`},
	{1e300, `<float>1e+300</float>`},
	{math.Inf(1), `<float>inf</float>`},
	{math.Inf(-1), `<float>-inf</float>`},
	{complex(1, -2.5), `<complex>1.0 -2.5</complex>`},
	{"", `<string></string>`},
	{" ", `<string> </string>`},
	{`a & b <c> "q" 's'`, `<string>a &amp;amp; b &amp;lt;c&amp;gt; "q" 's'</string>`},
	{"&lt;&amp;lt;", `<string>&amp;amp;lt;&amp;amp;amp;lt;</string>`},
	{"]]>", `<string>]]&amp;gt;</string>`},
	{"é \u007f\u0085\ufffd 日 😀", "<string>&#233; \u007f&#133;&#65533; &#26085; &#128512;</string>"},
	{"a\tb\nc\rd\r\n", "<string>a\tb\nc&#13;d&#13;\n</string>"},
	{proto.List{}, `<list id="i2"/>`},
	{proto.Set{"a"}, `<set id="i2"><string>a</string></set>`},
	{proto.Set{}, `<set id="i2"/>`},
	{proto.Tuple{}, `<tuple/>`},
	{proto.Tuple{proto.List{}, int64(1)}, `<tuple><list id="i2"/><int>1</int></tuple>`},
	{proto.Dictionary{}, `<dictionary id="i2"/>`},
	{proto.Dictionary{"é": nil, "z": proto.List{}, "_": proto.Dictionary{"x": "y"}, "Z": true, "": false},
		`<dictionary id="i2"><string></string><bool>0</bool><string>Z</string><bool>1</bool><string>_</string>` +
			`<dictionary id="i3"><string>x</string><string>y</string></dictionary><string>z</string><list id="i4"/><string>&#233;</string><none/></dictionary>`},
	{proto.List{
		&proto.Object{Class: proto.ClassRelease, Args: proto.Tuple{"u"}, Attributes: proto.Dictionary{"k": proto.List{}}}, proto.List{}},
		`<list id="i2"><object id="i3" module="slapos.slap.slap" class="SoftwareRelease"><tuple><string>u</string></tuple>` +
			`<dictionary id="i4"><string>k</string><list id="i5"/></dictionary></object><list id="i6"/></list>`},
	{&proto.Object{Class: proto.ClassInstance, Args: proto.Tuple{}, Attributes: proto.Dictionary{}},
		`<object id="i2" module="slapos.slap.slap" class="SoftwareInstance"><tuple/><dictionary id="i3"/></object>`},
}

func TestValuesBothWays(t *testing.T) {
	for _, c := range written {
		want := "<marshal>" + c.xml + "</marshal>"
		got, err := proto.Marshal(c.value)
		if err != nil || string(got) != want {
			t.Errorf("Marshal(%#v) = %s, %v\nwant %s", c.value, got, err, want)
		}
		back, err := proto.Unmarshal([]byte(want))
		if err != nil {
			t.Errorf("Unmarshal(%s): %v", want, err)
		} else if d := cmp.Diff(c.value, back, sameInt); d != "" {
			t.Errorf("Unmarshal(%s): %s", want, d)
		}
	}
	if got, err := proto.Marshal(7); err != nil || string(got) != "<marshal><int>7</int></marshal>" {
		t.Errorf("an int: %s, %v", got, err)
	}
	if got, err := proto.Marshal(math.NaN()); err != nil || string(got) != "<marshal><float>nan</float></marshal>" {
		t.Errorf("not a number: %s, %v", got, err)
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	got, err := proto.Append([]byte("before "), proto.List{"a"})
	if want := `before <marshal><list id="i2"><string>a</string></list></marshal>`; err != nil || string(got) != want {
		t.Errorf("got = %s, err = %v; want no error and string(got) == want", got, err)
	}
}

// What others write differently and means the same.
func TestReadsOthersForms(t *testing.T) {
	shared := proto.List{int64(1)}
	for doc, want := range map[string]any{
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- saved -->\n<marshal>\n  <list id='i2'>\n\t<string>a</string> <!-- one -->\r\n <int> 5\n</int><none/><none></none><string/> </list>\n</marshal>\n \n": proto.List{"a", int64(5), nil, nil, ""},
		"<?xml version='1.0' encoding='us-ascii'?><marshal><int>+5</int></marshal>": int64(5),
		"\ufeff<marshal><int>-0</int></marshal>":                                    int64(0),
		`<marshal><unicode>é</unicode></marshal>`:                                   "é",
		`<marshal><string>a &amp; b</string></marshal>`:                             "a & b",
		`<marshal><string>a<![CDATA[<&amp;>]]><!-- no -->b</string></marshal>`:      "a<&>b",
		"<marshal><string>a\r\nb</string></marshal>":                                "a\nb",
		`<marshal><long>123</long></marshal>`:                                       int64(123),
		`<marshal><bool>-3</bool></marshal>`:                                        true,
		`<marshal><bool> 00 </bool></marshal>`:                                      false,
		`<marshal><bool>99999999999999999999999</bool></marshal>`:                   true,
		`<marshal><float> 1e999 </float></marshal>`:                                 math.Inf(1),
		`<marshal><float>5</float></marshal>`:                                       5.0,
		`<marshal><list><list id="i3"><int>1</int></list><reference id="i3"/><reference id="i3"></reference></list></marshal>`:                           proto.List{shared, shared, shared},
		`<marshal><dictionary id="i2"><string>b</string><int>1</int><string>a</string><int>2</int><string>b</string><int>3</int></dictionary></marshal>`: proto.Dictionary{"a": int64(2), "b": int64(3)},
		`<m:marshal xmlns:m="http://www.erp5.org/namespaces/marshaller"><m:list m:id="i2"><m:int>7</m:int></m:list></m:marshal>`:                         proto.List{int64(7)},
	} {
		got, err := proto.Unmarshal([]byte(doc))
		if err != nil {
			t.Errorf("%s: err = %v; want no error", doc, err)
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf(`%s: d = %s; want d == ""`, doc, d)
		}
	}
}

func TestRefuses(t *testing.T) {
	object := func(module, class, inside string) string {
		return `<object id="i2" module="` + module + `" class="` + class + `">` + inside + `</object>`
	}
	for doc, says := range map[string]string{
		"":                            "empty document",
		" \n":                         "empty document",
		"nothing":                     "text between elements",
		"<marshal>":                   "unexpected EOF",
		"<marshal></marshal>":         "0 values instead of one",
		"<marshal/>":                  "0 values instead of one",
		"<int>1</int>":                "the root is not <marshal>",
		in("<none/><none/>"):          "2 values instead of one",
		in("<none/>") + "<none/>":     "after the end of the root",
		in("<none/>") + " x":          "after the end of the root",
		in("<none/>") + "<!-- x -->":  "after the end of the root",
		in("<none/>") + in("<none/>"): "after the end of the root",
		in("x<none/>"):                "text between elements",
		in("<bogus/>"):                "unknown element <bogus>",
		in("<marshal/>"):              "unknown element <marshal>",
		in("<code>YQ==</code>"):       "code",
		in("<int>x</int>"):            "not an integer",
		in("<int></int>"):             "not an integer",
		in("<int>1_0</int>"):          "not an integer",
		in("<int>+-1</int>"):          "not an integer",
		in("<int>0x10</int>"):         "not an integer",
		in("<int>1.0</int>"):          "not an integer",
		in("<int><int>1</int></int>"): "an element inside <int>",
		in("<bool>true</bool>"):       "not an integer",
		in("<float>0x1p-2</float>"):   "not a number",
		in("<float>1_0</float>"):      "not a number",
		in("<float></float>"):         "not a number",
		in("<complex>1</complex>"):    "not a number",
		in("<none>x</none>"):          "not empty",
		in("<none><none/></none>"):    "an element inside <none>",
		in("<string>a<b/></string>"):  "an element inside <string>",
		in("<string>&#1;</string>"):   "illegal character",
		in("<string>&x;</string>"):    "entity",
		in("<string>\xff</string>"):   "UTF-8",
		in("<string>a</int>"):         "<string>",
		in("<list>x</list>"):          "text between elements",
		in(`<reference id="i9"/>`):    "a reference to",
		in(`<reference/>`):            "a reference to",
		in(`<list id="i2"><reference id="i2"/></list>`):                                              "closed",
		in(`<list id="i2"><list id="i3"/><reference id="i3">x</reference></list>`):                   "not empty",
		in(`<dictionary id="i2"><string>a</string></dictionary>`):                                    "without a value",
		in(`<dictionary id="i2"><int>1</int><string>a</string></dictionary>`):                        "not a text",
		in(object("os", "system", "<tuple/><dictionary/>")):                                          "none of the four",
		in(object("os", "Computer", "<tuple/><dictionary/>")):                                        "none of the four",
		in(object("slapos.slap.slap", "slap", "<tuple/><dictionary/>")):                              "none of the four",
		in("<object><tuple/><dictionary/></object>"):                                                 "none of the four",
		in(object("os", "system", "<bogus/>")):                                                       "none of the four",
		in(object("slapos.slap.slap", "Computer", "")):                                               "an object has",
		in(object("slapos.slap.slap", "Computer", "<tuple/>")):                                       "an object has",
		in(object("slapos.slap.slap", "Computer", "<dictionary/><tuple/>")):                          "an object has",
		in(object("slapos.slap.slap", "Computer", "<tuple/><dictionary/><none/>")):                   "an object has",
		"<!DOCTYPE marshal [<!ENTITY a 'b'>]>" + in("<string>&a;</string>"):                          "document type",
		"<?xml version='1.0' encoding='latin-1'?>" + in("<none/>"):                                   "latin-1",
		in(strings.Repeat("<list>", proto.MaxDepth+1) + strings.Repeat("</list>", proto.MaxDepth+1)): "deeper than 100",
		in("<string>" + strings.Repeat("x", proto.MaxSize) + "</string>"):                            "at most",
		in("<int>" + strings.Repeat("9", 5000) + "</int>"):                                           "not an integer",
	} {
		got, err := proto.Unmarshal([]byte(doc))
		if !errors.Is(err, proto.ErrMalformed) || !strings.Contains(err.Error(), says) {
			t.Errorf("Unmarshal(%.150s) = %v, %v; want an error with %q", doc, got, err, says)
		}
	}
}

func in(doc string) string { return "<marshal>" + doc + "</marshal>" }

// References may not make a small document a large value: each level here names the one before it
// ten times.
func TestReferencesDoNotMultiply(t *testing.T) {
	doc := `<list id="i1">` + strings.Repeat("<none/>", 10) + `</list>`
	for i := 2; i <= 12; i++ {
		id, before := string(rune('a'+i)), string(rune('a'+i-1))
		if i == 2 {
			before = "i1"
		}
		doc += `<list id="` + id + `">` + strings.Repeat(`<reference id="`+before+`"/>`, 10) + `</list>`
	}
	if v, err := proto.Unmarshal([]byte(in("<tuple>" + doc + "</tuple>"))); err == nil || !strings.Contains(err.Error(), "references make") {
		t.Errorf(`v = %v, err = %v; want an error and err.Error() with "references make"`, v, err)
	}
}

func TestUnwritable(t *testing.T) {
	self := proto.List{nil, nil}
	self[0], self[1] = self, self
	deep := any("x")
	for range proto.MaxDepth + 1 {
		deep = proto.List{deep}
	}
	for says, v := range map[string]any{
		"U+0001, which is at byte 2":        "aé\x01"[1:],
		"U+0000":                            "\x00",
		"U+FFFE":                            "\ufffe",
		"not UTF-8":                         "a\xff",
		"(0xed) is not UTF-8":               "\xed\xa0\x80", // half of a pair
		"slap: port[1].x: ":                 proto.Dictionary{"port": proto.List{"", proto.Dictionary{"x": "\x02"}}},
		"slap: a.a key of it: ":             proto.Dictionary{"a": proto.Dictionary{"\x03": nil}},
		"slap: Computer[0]: ":               &proto.Object{Class: proto.ClassComputer, Args: proto.Tuple{"\x04"}},
		"values of type struct {}":          struct{}{},
		"none of the four":                  &proto.Object{Class: "system"},
		"an integer without a value":        (*big.Int)(nil),
		"deeper than 100":                   deep,
		"larger than 16777216 bytes":        strings.Repeat(">", proto.MaxSize/8),
		"deeper than 100 values within val": self,
	} {
		got, err := proto.Marshal(v)
		if got != nil || !errors.Is(err, proto.ErrUnwritable) || !strings.Contains(err.Error(), says) {
			t.Errorf("Marshal = %.100s, %v; want an error with %q", got, err, says)
		}
	}
	if _, err := proto.Marshal(proto.Dictionary{"password": "s3cr\x01et"}); err == nil ||
		strings.Contains(err.Error(), "s3cr") || !strings.Contains(err.Error(), "password") {
		t.Errorf("an error names the place, and not what is there: %v", err)
	}
}
