package proto_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/slaptest"
)

// seeds are the golden files, and the recorded documents.
func seeds(f *testing.F) [][]byte {
	files, err := filepath.Glob("testdata/*.xml")
	if err != nil || len(files) == 0 {
		f.Fatalf("files = %v, err = %v; want no error and len(files) != 0", files, err)
	}
	var all [][]byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, data)
	}
	for _, c := range written {
		all = append(all, []byte(in(c.xml)))
	}
	for _, doc := range documents(slaptest.Exchanges(f, "")) {
		all = append(all, doc)
	}
	return all
}

// What is read can be written, and what was written is read the same; what cannot be read is
// refused as malformed.
func FuzzUnmarshal(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	for _, seed := range []string{
		in(`<list id="i2"><list id="i3"/><reference id="i3"/></list>`),
		in(`<object id="i2" module="os" class="system"><tuple/><dictionary/></object>`),
		"<!DOCTYPE a [<!ENTITY b 'c'>]>" + in("<string>&b;</string>"), in("<unicode>é</unicode><!-- c -->"),
		in("<long> 1 </long>"), in("<code/>"),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := proto.Unmarshal(data)
		if err != nil {
			if !errors.Is(err, proto.ErrMalformed) {
				t.Fatalf("err = %v; want error proto.ErrMalformed", err)
			}
			return
		}
		first, err := proto.Marshal(v)
		if err != nil {
			t.Fatalf("read and not writable: %v", err)
		}
		again, err := proto.Unmarshal(first)
		if err != nil {
			t.Fatalf("%s: err = %v; want no error", first, err)
		}
		second, err := proto.Marshal(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("err = %v\nfirst = %s\nsecond = %s; want no error and first == second", err, first, second)
		}
		for _, read := range []func(any) error{
			func(v any) error { _, err := proto.ReadComputer(v); return err },
			func(v any) error { _, err := proto.ReadPartition(v); return err },
			func(v any) error { _, err := proto.ReadInstance(v); return err },
			func(v any) error { _, err := proto.ReadConfiguration(v); return err },
		} {
			if err := read(v); err != nil && !errors.Is(err, proto.ErrMalformed) {
				t.Fatalf("err = %v; want no error or error proto.ErrMalformed", err)
			}
		}
		if d, ok := v.(proto.Dictionary); ok {
			if _, err := proto.FormatParameters(d); err != nil && !errors.Is(err, proto.ErrUnwritable) {
				t.Fatalf("err = %v; want no error or error proto.ErrUnwritable", err)
			}
		}
	})
}

func FuzzParameters(f *testing.F) {
	for _, seed := range []string{"", "<instance/>", declaration + "<instance>\n  <parameter id=\"a\">b &amp; c</parameter>\n</instance>\n",
		`<instance><parameter id="a"/><other><x/></other><parameter id="a">1</parameter></instance>`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, document string) {
		parameters, err := proto.ParseParameters(document)
		if err != nil {
			if !errors.Is(err, proto.ErrMalformed) {
				t.Fatalf("err = %v; want error proto.ErrMalformed", err)
			}
			return
		}
		for k, v := range parameters {
			if v == nil {
				parameters[k] = "" // written as None otherwise
			}
		}
		text, err := proto.FormatParameters(parameters)
		if err != nil {
			t.Fatal(err)
		}
		again, err := proto.ParseParameters(text)
		for k, v := range again {
			if v == nil {
				again[k] = ""
			}
		}
		if d := cmp.Diff(parameters, again); err != nil || d != "" {
			t.Fatalf(`err = %v d = %s; want no error and d == ""`, err, d)
		}
	})
}

func FuzzUsage(f *testing.F) {
	f.Add(reportHead + reportLine + reportTail)
	f.Add("<?xml version='1.0'?><journal></journal>")
	f.Fuzz(func(t *testing.T, document string) {
		report, err := proto.ParseUsage(document)
		if err != nil {
			if !errors.Is(err, proto.ErrMalformed) {
				t.Fatalf("err = %v; want error proto.ErrMalformed", err)
			}
			return
		}
		text, err := proto.FormatUsage(report)
		if err != nil {
			t.Fatal(err)
		}
		again, err := proto.ParseUsage(text)
		if d := cmp.Diff(report, again); err != nil || d != "" {
			t.Fatalf(`err = %v d = %s; want no error and d == ""`, err, d)
		}
	})
}
