package proto_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/slaptest"
)

// documents are the documents in a field or body, by where they are.
func documents(all []*slaptest.Exchange) map[string][]byte {
	found := map[string][]byte{}
	for _, e := range all {
		if strings.HasPrefix(e.Answer, "<marshal>") {
			found[e.Name()+" answer"] = []byte(e.Answer)
		}
		for field, values := range e.Form() {
			if strings.HasPrefix(values[0], "<marshal>") {
				found[e.Name()+" "+field] = []byte(values[0])
			}
		}
	}
	return found
}

func TestCapturedDocumentsBothWays(t *testing.T) {
	found := documents(slaptest.Exchanges(t, ""))
	if len(found) < 250 {
		t.Errorf("only %d documents", len(found))
	}
	for name, doc := range found {
		sameBytes(t, name, doc)
	}
}

func sameBytes(t *testing.T, name string, doc []byte) any {
	t.Helper()
	v, err := proto.Unmarshal(doc)
	if err != nil {
		t.Errorf("%s: err = %v; want no error", name, err)
		return nil
	}
	again, err := proto.Marshal(v)
	if d := cmp.Diff(string(doc), string(again)); err != nil || d != "" {
		t.Errorf("%s: err = %v\nd = %s; want no error and d == \"\"", name, err, d)
	}
	return v
}

// asRead writes what an object says in the words of this package: the same, if nothing was lost.
func asRead(v any) (*proto.Object, bool, error) {
	o, ok := v.(*proto.Object)
	if !ok {
		return nil, false, nil
	}
	switch o.Class {
	case proto.ClassComputer:
		c, err := proto.ReadComputer(o)
		if err != nil {
			return nil, true, err
		}
		return c.Object(), true, nil
	case proto.ClassPartition:
		if o.Attributes["slap_computer_id"] != nil {
			return nil, false, nil // answered for another master's
		}
		p, err := proto.ReadPartition(o)
		if err != nil {
			return nil, true, err
		}
		return p.Object(), true, nil
	case proto.ClassInstance:
		n, err := proto.ReadInstance(o)
		if err != nil {
			return nil, true, err
		}
		n.Shared = o.Attributes["_instance_guid"] == nil
		return n.Object(), true, nil
	}
	return nil, false, nil
}

func TestCapturedAnswersBothWays(t *testing.T) {
	count := 0
	for name, doc := range documents(slaptest.Exchanges(t, "")) {
		v, err := proto.Unmarshal(doc)
		if err != nil {
			continue // the test above says it
		}
		o, ok, err := asRead(v)
		if err != nil {
			t.Errorf("%s: err = %v; want no error", name, err)
		} else if ok {
			count++
			again, err := proto.Marshal(o)
			if d := cmp.Diff(string(doc), string(again)); err != nil || d != "" {
				t.Errorf("%s: err = %v\nd = %s; want no error and d == \"\"", name, err, d)
			}
		}
	}
	if count < 60 {
		t.Errorf("only %d objects", count)
	}
}

// Requests are read and written again with the same fields, and so are parameters and usage
// reports.
func TestCapturedFormsBothWays(t *testing.T) {
	requests, configurations, connections, reports := 0, 0, 0, 0
	for _, e := range slaptest.Exchanges(t, "") {
		switch e.Path {
		case "/requestComputerPartition":
			q, err := proto.ParseRequest(e.Form())
			if e.Status == 400 {
				if err == nil {
					t.Errorf("%s: taken", e.Name())
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: err = %v; want no error", e.Name(), err)
				continue
			}
			requests++
			form, err := q.Form()
			if d := cmp.Diff(e.Form(), form); err != nil || d != "" {
				t.Errorf("%s: err = %v\nd = %s; want no error and d == \"\"", e.Name(), err, d)
			}
		case "/loadComputerConfigurationFromXML":
			configurations++
			v, err := proto.ParseField(e.Form(), "xml")
			if err != nil {
				t.Errorf("%s: err = %v; want no error", e.Name(), err)
				continue
			}
			c, err := proto.ReadConfiguration(v)
			if err != nil || c.Computer != "COMP-LAB" || len(c.Partitions) == 0 || len(c.Partitions[0].Addresses) == 0 || c.Netmask == "" {
				t.Errorf(
					"%s: c = %+v, err = %v"+
						`; want no error and c.Computer == "COMP-LAB" and len(c.Partitions) != 0 and `+
						`len(c.Partitions[0].Addresses) != 0 and c.Netmask != ""`,
					e.Name(), c, err,
				)
			}
		case "/setComputerPartitionConnectionXml":
			connections++
			v, err := proto.ParseField(e.Form(), "connection_xml")
			d, ok := v.(proto.Dictionary)
			if err != nil || !ok {
				t.Errorf("%s: v = %v, err = %v; want no error and ok", e.Name(), v, err)
			} else if xml, err := proto.FormatParameters(d); err != nil {
				t.Errorf("%s: err = %v; want no error", e.Name(), err)
			} else if back, err := proto.ParseParameters(xml); err != nil || len(back) != len(d) {
				t.Errorf("%s: back = %v, err = %v; want no error and len(back) == len(d)", e.Name(), back, err)
			}
		case "/useComputer":
			reports++
			sameReport(t, e.Name(), e.Form().Get("use_string"))
		}
		if v, err := proto.Unmarshal([]byte(e.Answer)); err == nil {
			if o, ok := v.(*proto.Object); ok && o.Attributes["connection_xml"] != nil {
				sameParameters(t, e.Name(), o.Attributes["connection_xml"].(string))
			}
		}
	}
	if requests < 40 || configurations < 3 || connections < 5 || reports < 3 {
		t.Errorf("only %d, %d, %d and %d", requests, configurations, connections, reports)
	}
}

func sameParameters(t *testing.T, name, doc string) {
	t.Helper()
	parameters, err := proto.ParseParameters(doc)
	if err != nil {
		t.Errorf("%s: err = %v; want no error", name, err)
		return
	}
	if again, err := proto.FormatParameters(parameters); err != nil || again != doc {
		t.Errorf("%s: err = %v\ndiff = %s; want no error and again == doc", name, err, cmp.Diff(doc, again))
	}
}

// sameReport reads a usage report and writes it again: the same behind the declaration.
func sameReport(t *testing.T, name, doc string) {
	t.Helper()
	report, err := proto.ParseUsage(doc)
	if err != nil || len(report) == 0 || len(report[0].Movements) == 0 {
		t.Errorf(
			"%s: report = %+v, err = %v"+
				"; want no error and len(report) != 0 and len(report[0].Movements) != 0",
			name, report, err,
		)
		return
	}
	again, err := proto.FormatUsage(report)
	if _, want, _ := strings.Cut(doc, "?>"); err != nil || again != "<?xml version='1.0' encoding='utf-8'?>"+want {
		t.Errorf(
			"%s: err = %v\ndiff = %s"+
				`; want no error and again == "<?xml version='1.0' encoding='utf-8'?>"+want`,
			name, err, cmp.Diff(doc, again),
		)
	}
}
