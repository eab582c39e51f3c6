package proto_test

import (
	"fmt"
	"testing"

	"github.com/hostler-project/hostler/slapos/proto"
)

// hundred is a computer with a hundred busy partitions, about 200 kB as a document.
func hundred() *proto.Computer {
	c := &proto.Computer{ID: "COMP-1"}
	for i := range 100 {
		p := busy()
		p.ID = fmt.Sprintf("slappart%d", i)
		c.Partitions = append(c.Partitions, p)
	}
	return c
}

func BenchmarkMarshalComputer(b *testing.B) {
	c := hundred()
	var doc []byte
	for b.Loop() {
		var err error
		if doc, err = proto.Append(doc[:0], c.Object()); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(doc)))
}

func BenchmarkUnmarshalComputer(b *testing.B) {
	doc, err := proto.Marshal(hundred().Object())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		v, err := proto.Unmarshal(doc)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := proto.ReadComputer(v); err != nil {
			b.Fatal(err)
		}
	}
}

// A request of the size of those that were recorded: what a master reads for each of them.
func BenchmarkParseRequest(b *testing.B) {
	form, err := (&proto.Request{Release: demo, Type: "default", Title: "My instance", State: proto.Started,
		Parameters: proto.Dictionary{"_": `{"domain": "example.org", "list": [1, 2], "nested": {"a": true}}`},
		Filter:     proto.Dictionary{"computer_guid": "COMP-1"}}).Form()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := proto.ParseRequest(form); err != nil {
			b.Fatal(err)
		}
	}
}
