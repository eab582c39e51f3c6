package proto_test

import (
	"fmt"

	"github.com/hostler-project/hostler/slapos/proto"
)

func ExampleMarshal() {
	text, err := proto.Marshal(proto.Dictionary{"port": 8080, "url": "http://a.example/?x=1&y=2", "states": proto.List{proto.Started, nil}})
	fmt.Println(string(text), err)
	_, err = proto.Marshal(proto.Dictionary{"password": "\x00"})
	fmt.Println(err)
	// Output:
	// <marshal><dictionary id="i2"><string>port</string><int>8080</int><string>states</string><list id="i3"><string>started</string><none/></list><string>url</string><string>http://a.example/?x=1&amp;amp;y=2</string></dictionary></marshal> <nil>
	// slap: password: XML cannot carry the character U+0000, which is at byte 0 of the text
}

func ExampleUnmarshal() {
	v, err := proto.Unmarshal([]byte(`<marshal> <list id="i2"> <string>a &amp;amp; b</string> <int>5</int> <none/> </list> </marshal>`))
	fmt.Println(v, err)
	_, err = proto.Unmarshal([]byte(`<marshal><object id="i2" module="os" class="system"><tuple/><dictionary id="i3"/></object></marshal>`))
	fmt.Println(err)
	// Output:
	// [a & b 5 <nil>] <nil>
	// slap: byte 52: an object of class "system" of module "os", which is none of the four that are allowed
}
