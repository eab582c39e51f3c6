package master_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/web"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/store/sqlite"
)

// What one instance may have, in documents and out of them: however its characters are written, it
// is bounded by what nodes are told.
func TestWritten(t *testing.T) {
	r := newRig(t, master.Options{Computer: "C"})
	r.format("C", 1)
	const most = 256 << 10
	told := func(text string) int {
		body, err := proto.Marshal(proto.Dictionary{"k": text})
		if err != nil {
			t.Fatal(err)
		}
		return len(body)
	}
	one := r.ask(proto.Request{Title: "one"})
	for _, c := range []string{"x", "\n", `"`, "\r", "&", "<", ">", "é", "\u07ff", "\u0800", "\uffef", "😀", "\U0010fffd"} {
		each := (told(strings.Repeat(c, 1000)) - told("")) / 1000
		large := proto.Dictionary{"k": strings.Repeat(c, most/each+1)}
		if _, err := r.Requests.Request(
			t.Context(), access.Anybody, &proto.Request{Title: "one", Release: demo, Parameters: large},
		); !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), "and may be 262144") {
			t.Errorf(`%q: err = %v; want error compute.ErrInvalid and err.Error() with "and may be 262144"`, c, err)
		}
		if err := r.Instances.SetConnectionOf(t.Context(), access.Anybody, one.Record.ID, large); !errors.Is(err, compute.ErrInvalid) ||
			!strings.Contains(err.Error(), "the connection parameters are") {
			t.Errorf(`%q: err = %v; want error compute.ErrInvalid and err.Error() with "the connection parameters are"`, c, err)
		}
		r.ask(proto.Request{Title: "one", Parameters: proto.Dictionary{"k": strings.Repeat(c, most/each/3)}})
	}
	if _, err := r.Requests.Change(
		t.Context(), access.Anybody, one.Record.ID,
		master.Change{Parameters: proto.Dictionary{"k": strings.Repeat("x", most)}},
	); !errors.Is(err, compute.ErrInvalid) {
		t.Error(err)
	}
	// There is no way around by another endpoint.
	h := web.New(r.Master, wire.Options{})
	text := strings.Repeat("x", most)
	for name, body := range map[string]string{
		"slapos.post.v0.software_instance":                     `{"title": "one", "software_release_uri": "` + demo + `", "software_type": "default", "parameters": {"k": "` + text + `"}}`,
		"slapos.put.v0.software_instance_connection_parameter": `{"instance_guid": "` + one.Record.ID + `", "connection_parameter_dict": {"k": "` + text + `"}}`,
		"slapos.post.v0.compute_node_usage":                    `{"computer_guid": "C", "tioxml": "<journal/>` + strings.Repeat(" ", 1<<20) + `"}`,
	} {
		if status, answer := call(t.Context(), h, name, body); status != http.StatusBadRequest ||
			!strings.Contains(answer, "may be 2621") && !strings.Contains(answer, "may be 1048576") {
			t.Errorf(
				"%s: status = %d answer = %.300s"+
					`; want status == http.StatusBadRequest and (answer with "may be 2621" or answer with "may `+
					`be 1048576")`,
				name, status, answer,
			)
		}
	}
	if status, answer := call(
		t.Context(), h, "slapos.post.v0.software_instance",
		`{"title": "one", "software_release_uri": "`+demo+`", "software_type": "default", "sla_parameters": {"x": "`+text+`"}}`,
	); status != http.StatusBadRequest {
		t.Errorf("a filter: %d %.300s", status, answer)
	}
}

// Whatever users ask for, and however many at a time by however many masters, a node is told of its
// computer; and nobody takes the place of who asks for little. It takes seconds, as it fills a
// document of 12 MiB.
func TestTellable(t *testing.T) {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var both [2]*rig
	for i := range both {
		m, err := master.New(t.Context(), master.Options{Store: st, Computer: "C"})
		if err != nil {
			t.Fatal(err)
		}
		both[i] = &rig{m, t}
	}
	r, ctx := both[0], t.Context()
	const partitions = 50
	r.format("C", partitions)
	largest := proto.Dictionary{"k": strings.Repeat("\u07ff", 34000)}
	tells := func(when string, least int) {
		t.Helper()
		for _, r := range both {
			if body, _, err := r.Computers.Information(ctx, access.Anybody, "C"); err != nil || len(body) < least {
				t.Errorf("%s: the node is told %d bytes, %v", when, len(body), err)
			}
		}
	}
	var taken, refused atomic.Int64
	note := func(err error) {
		if err == nil {
			taken.Add(1)
		} else if refusal, ok := errors.AsType[*access.Refusal](err); ok && refusal.Kind == compute.ErrConflict &&
			strings.Contains(refusal.Text, "Too much would be on C to be told") {
			refused.Add(1)
		} else {
			t.Error(err)
		}
	}
	var all sync.WaitGroup
	few := make(chan bool, 4)
	for i := range 30 {
		all.Go(func() {
			few <- true
			defer func() { <-few }()
			m := both[i%2]
			a, err := m.Requests.Request(ctx, access.Anybody, &proto.Request{Title: fmt.Sprint(i), Release: demo, Parameters: largest})
			if note(err); err == nil {
				note(m.Instances.SetConnectionOf(ctx, access.Anybody, a.Record.ID, largest))
			}
		})
	}
	all.Wait()
	if taken.Load() < 40 || refused.Load() == 0 {
		t.Errorf("%d were taken, %d refused", taken.Load(), refused.Load())
	}
	tells("with the largest", 10<<20)
	var small *master.Answer
	for i := range 10 {
		small = r.ask(proto.Request{Title: fmt.Sprint("small", i), Parameters: proto.Dictionary{"k": "v"}})
	}

	// Shared instances of others are told there too.
	none := refused.Load()
	for i := 0; refused.Load() == none && i < 100; i++ {
		_, err := both[i%2].Requests.Request(
			ctx, access.Anybody,
			&proto.Request{Title: fmt.Sprint("shared", i), Release: demo, Shared: true, Parameters: largest},
		)
		note(err)
	}
	if refused.Load() == none {
		t.Error("any number of shared instances is taken")
	}
	for i := range 20 {
		_, err := r.Requests.Request(
			ctx, access.Anybody,
			&proto.Request{
				Title: fmt.Sprint("small shared", i), Release: demo, Shared: true,
				Parameters: proto.Dictionary{"k": strings.Repeat("é", 1000)},
			},
		)
		note(err)
	}
	tells("with shared instances", 11<<20)
	note(r.Instances.Rename(ctx, access.Anybody, "C", "p0", "", strings.Repeat("😀", 200)))
	tells("after a rename", 11<<20)
	site := proto.Dictionary{"url": "https://site.example/"}
	if err := r.Instances.SetConnection(ctx, access.Anybody, "C", small.Partition, "", site); err != nil {
		t.Errorf("what is small is not taken any more: %v", err)
	}

	// Those that wait for a host come to none on a computer without room.
	for i := range 2 {
		_, err := r.Requests.Request(
			ctx, access.Anybody,
			&proto.Request{Title: fmt.Sprint("waits", i), Release: "u", Shared: true, Parameters: largest},
		)
		if !errors.Is(err, compute.ErrNoCapacity) {
			t.Error(err)
		}
	}
	host := r.ask(proto.Request{Title: "host", Release: "u"})
	if has := r.partition("C", host.Partition).Shared; len(has) != 0 {
		t.Errorf("%d of 2 have come to the host", len(has))
	}
	tells("after a host came", 11<<20)
	at := ""
	// the other that waits takes of the room that there is, and may leave too little
	for i := 0; at == "" && i < 30; i++ {
		q := &proto.Request{Title: fmt.Sprint(i), Release: demo, Parameters: proto.Dictionary{"k": "v"}}
		_, err := r.Requests.Request(ctx, access.Anybody, q)
		note(err)
		a, err := r.Requests.Request(
			ctx, access.Anybody,
			&proto.Request{Title: "waits0", Release: "u", Shared: true, Parameters: proto.Dictionary{"k": "v"}},
		)
		if err == nil {
			at = a.Partition
		} else if !errors.Is(err, compute.ErrNoCapacity) {
			note(err)
		}
	}
	if at != host.Partition {
		t.Errorf("there is room now, and it is small, and in %q", at)
	}
}
