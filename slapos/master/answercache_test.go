package master_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/legacy"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
)

// TestRepeats asks for the same again while all else goes on: a handler that remembers what it said
// says what one says that has just begun.
func TestRepeats(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			who := access.Anybody
			w := newWire(t, func(*http.Request) (access.Who, error) { return who, nil })
			keeps := w.h
			w.format("C", 4)
			var forms []url.Values
			for _, q := range []proto.Request{
				{Title: "root", Release: demo, Parameters: proto.Dictionary{"a": "1"}},
				{Title: "root", Release: demo, State: proto.Stopped, Parameters: proto.Dictionary{"a": "2"}},
				{Title: "root", Release: "other", Type: "t"},
				{Title: "child", Release: demo, Computer: "C", Partition: "p0"},
				{Title: "child", Release: demo, Computer: "C", Partition: "p0", State: proto.Stopped},
				{Title: "two", Release: demo},
				{Title: "shared", Release: demo, Shared: true},
			} {
				form, err := q.Form()
				if err != nil {
					t.Fatal(err)
				}
				forms = append(forms, form)
			}
			form, compared := forms[0], 0
			for range 200 {
				switch at := fields("computer_id", "C", "computer_partition_id", fmt.Sprint("p", rnd.IntN(4))); rnd.IntN(12) {
				case 0, 1:
					form = forms[rnd.IntN(len(forms))]
				case 2:
					at.Set("connection_xml", doc(t, proto.Dictionary{"url": fmt.Sprint(rnd.IntN(9))}))
					w.call("POST", "/setComputerPartitionConnectionXml", at)
				case 3:
					at.Set("new_name", []string{"root", "child", "two", "three"}[rnd.IntN(4)])
					w.call("POST", "/softwareInstanceRename", at)
				case 4:
					c := &proto.Configuration{Computer: "C"}
					for i := range 4 {
						c.Partitions = append(c.Partitions, proto.ConfiguredPartition{ID: fmt.Sprint("p", i), Interface: "tap",
							Addresses: []proto.ConfiguredAddress{{
								IP: fmt.Sprintf("10.0.%d.%d", rnd.IntN(3), i), Netmask: "255.255.255.255",
							}}})
					}
					if err := w.Computers.Format(t.Context(), access.Anybody, c); err != nil {
						t.Fatal(err)
					}
				case 5:
					if rnd.IntN(4) == 0 {
						gone := url.Values{}
						for k, v := range forms[[]int{0, 5}[rnd.IntN(2)]] {
							gone[k] = v
						}
						gone.Set("state", doc(t, proto.Destroyed))
						w.call("POST", "/requestComputerPartition", gone)
						w.call("POST", "/destroyedComputerPartition", at)
					}
				case 6:
					at.Set("message", "m")
					w.call("POST", "/softwareInstanceBang", at)
				case 7:
					if who = access.Anybody; rnd.IntN(2) == 0 {
						who = access.Who{User: "somebody"}
					}
				}
				new := func() *httptest.ResponseRecorder {
					w.h = legacy.New(w.rig.Master, wire.Options{Who: func(*http.Request) (access.Who, error) { return who, nil }})
					return w.call("POST", "/requestComputerPartition", form)
				}
				first, second := new(), new()
				if first.Code != http.StatusOK || first.Body.String() != second.Body.String() {
					continue // the first has changed what the second means
				}
				w.h = keeps
				if said := w.call("POST", "/requestComputerPartition", form); said.Code != second.Code ||
					said.Body.String() != second.Body.String() {
					t.Fatalf("%v: %d\n%s\nand of one that has just begun: %d\n%s", form, said.Code, said.Body, second.Code, second.Body)
				}
				compared++
			}
			if compared < 50 {
				t.Errorf("only %d of 200 were compared", compared)
			}
		})
	}
}
