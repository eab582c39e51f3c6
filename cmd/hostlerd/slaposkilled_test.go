package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/hostler-project/hostler/store/postgres/pgtest"
)

// slaposProof is how much is asked of SlapOS masters that are killed at any moment.
type slaposProof struct{ masters, clients, operations, kills, partitions, titles int }

// TestSlaposMasterKilled: one master with its state in a file. What it has acknowledged is there
// when it is started again; a title is one instance, and a partition has one.
func TestSlaposMasterKilled(t *testing.T) {
	slaposProof{masters: 1, clients: 12, operations: 400, kills: 4, partitions: 10, titles: 16}.run(t, "", "")
}

// TestSlaposMastersKilled: two on one database, with many clients, who hear of nothing that goes on
// between the masters.
func TestSlaposMastersKilled(t *testing.T) {
	dsn := pgtest.Start(t).Database(t)
	slaposProof{masters: 2, clients: 64, operations: 800, kills: 2, partitions: 40, titles: 64}.run(t, "env:HOSTLER_TEST_DATABASE", dsn)
}

// slaposKilled is a proof under way.
type slaposKilled struct {
	slaposProof
	t     *testing.T
	m     *machine
	file  string
	all   []*proxyProcess
	http  *http.Client
	begin time.Time
	done  atomic.Int64
	again atomic.Int64 // operations that were asked for more than once
	dry   atomic.Int64 // requests for which there was no place

	mu  sync.Mutex
	ops []porcupine.Operation
}

// proxyProcess is a process of hostler slapos proxy start. It may be killed, and started again.
type proxyProcess struct {
	p     *slaposKilled
	at    atomic.Pointer[string] // its URL; nil: it was killed
	cmd   *exec.Cmd
	ended chan struct{} // closed when nothing more is said
}

var slaposMasterSays = regexp.MustCompile(`SlapOS master on (http://\S+/),`)

// start starts it, and waits until it says where it is.
func (s *proxyProcess) start() {
	t := s.p.t
	cmd := s.p.m.command("slapos", "proxy", "start", "--cfg", s.p.file)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Error(err)
		return
	}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return
	}
	at, ended := make(chan string, 1), make(chan struct{})
	s.cmd, s.ended = cmd, ended
	go func() {
		defer close(ended)
		var text []string
		for lines := bufio.NewScanner(said); lines.Scan(); {
			text = append(text, lines.Text())
			if m := slaposMasterSays.FindStringSubmatch(lines.Text()); m != nil {
				at <- m[1]
			}
		}
		if len(text) > 1 {
			t.Logf("a master said %q", text[1:min(len(text), 20)])
		}
		close(at)
	}()
	select {
	case url, ok := <-at:
		if !ok {
			t.Error("a master ended before it said where it is")
			return
		}
		s.at.Store(&url)
	case <-time.After(3 * time.Minute):
		t.Error("a master does not say where it is")
	}
}

func (s *proxyProcess) kill() {
	if s.cmd == nil {
		return
	}
	s.at.Store(nil) // somebody else may get its port
	_ = s.cmd.Process.Kill()
	<-s.ended
	_ = s.cmd.Wait()
	s.cmd = nil
}

// held is an operation of the model: title or partition has an instance.
type held struct {
	what string // made, gone, or is: what a look found
	key  string
	id   string // ""; nothing is there
	ok   bool   // of gone: it was there. Otherwise it was not, or nobody knows
	lost bool
}

// slaposHeld: of a title, or in a partition, there is one instance until it is gone. A request
// gives the one that is there, and makes one only where none is.
var slaposHeld = porcupine.Model{
	Partition: func(history []porcupine.Operation) (out [][]porcupine.Operation) {
		by := map[string][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(held).key
			by[key] = append(by[key], op)
		}
		for _, ops := range by {
			out = append(out, ops)
		}
		return out
	},
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		now, op := state.(string), input.(held)
		switch {
		case op.what == "made":
			return now == "" || now == op.id, op.id
		case op.what == "is":
			return now == op.id, now
		case now == op.id:
			return op.ok || op.lost, ""
		}
		return !op.ok || op.lost, now
	},
	DescribeOperation: func(input, _ any) string { return fmt.Sprintf("%+v", input) },
}

func (p slaposProof) run(t *testing.T, database, dsn string) {
	m := newMachine(t)
	if database == "" {
		database = filepath.Join(m.dir, "master.db")
	} else {
		m.env = append(m.env, "HOSTLER_TEST_DATABASE="+dsn)
	}
	v := &slaposKilled{slaposProof: p, t: t, m: m, file: filepath.Join(m.dir, "slapos.cfg"), begin: time.Now(),
		http: &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: p.clients}}}
	t.Cleanup(v.http.CloseIdleConnections)
	text := "[slapos]\ncomputer_id = COMP-1\n[slapproxy]\nhost = 127.0.0.1\nport = 0\ndatabase_uri = " + database + "\n"
	if err := os.WriteFile(v.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for range p.masters {
		s := &proxyProcess{p: v}
		v.all = append(v.all, s)
		s.start()
		t.Cleanup(s.kill)
	}
	var slots []string
	for i := range p.partitions {
		slots = append(slots, fmt.Sprintf(`{"partition_id": "p%d"}`, i))
	}
	if status, text, _ := v.ask(
		t.Context(), "put.v0.compute_node_format",
		`{"computer_guid": "COMP-1", "compute_partition_list": [`+strings.Join(slots, ", ")+`]}`,
	); status != http.StatusOK {
		t.Fatalf("status = %v, text = %v; want status == http.StatusOK", status, text)
	}
	var clients sync.WaitGroup
	over := make(chan struct{})
	for n := range p.clients {
		clients.Go(func() { v.client(n) })
	}
	kills := make(chan int, 1)
	go func() { kills <- v.killing(over) }()
	clients.Wait()
	close(over)
	killed := <-kills
	if t.Failed() {
		return
	}
	v.look()
	t.Logf(
		"%d operations and %d kills in %v; %d were asked for again, for %d there was no place", v.done.Load(), killed,
		time.Since(v.begin).Round(time.Second), v.again.Load(), v.dry.Load(),
	)
	if result := porcupine.CheckOperationsTimeout(slaposHeld, v.ops, 2*time.Minute); result == porcupine.Illegal {
		t.Errorf("the history of %d operations is %s", len(v.ops), result)
	}
}

// killing kills one after the other, at any moment, and starts it again.
func (v *slaposKilled) killing(over <-chan struct{}) (kills int) {
	for ; kills < v.kills; kills++ {
		for next := int64(v.operations) * int64(kills+1) / int64(v.kills+1); v.done.Load() < next; {
			select {
			case <-over:
				return kills
			case <-time.After(5 * time.Millisecond):
			}
		}
		s := v.all[rand.IntN(len(v.all))]
		s.kill()
		s.start()
	}
	return kills
}

// ask calls a method at any master until one answers; lost: one may have done it, and was killed
// before it said so.
func (v *slaposKilled) ask(ctx context.Context, method, body string) (status int, answer string, lost bool) {
	for n := rand.IntN(len(v.all)); v.t.Context().Err() == nil && !v.t.Failed(); n++ {
		at := v.all[n%len(v.all)].at.Load()
		if at == nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, *at+"slapos."+method, strings.NewReader(body))
		if err != nil {
			v.t.Error(err)
			return 0, "", lost
		}
		r.Header.Set("Content-Type", "application/json")
		w, err := v.http.Do(r)
		if err == nil {
			var text []byte
			text, err = io.ReadAll(w.Body)
			_ = w.Body.Close()
			if err == nil {
				return w.StatusCode, string(text), lost
			}
		}
		lost = true
		v.again.Add(1)
		time.Sleep(10 * time.Millisecond)
	}
	return 0, "", lost
}

func (v *slaposKilled) now() int64 { return int64(time.Since(v.begin)) }

// client requests, and gives back, until all is done.
func (v *slaposKilled) client(n int) {
	dice := rand.New(rand.NewPCG(uint64(n), 8))
	var mine []porcupine.Operation
	note := func(start int64, op held, title, place string) {
		for _, key := range []string{"title " + title, "partition " + place} {
			op.key = key
			mine = append(mine, porcupine.Operation{ClientId: n, Input: op, Call: start, Return: v.now()})
		}
		v.done.Add(1)
	}
	for v.done.Load() < int64(v.operations) && !v.t.Failed() {
		title := fmt.Sprint("t", dice.IntN(v.titles))
		start := v.now()
		status, text, _ := v.ask(
			v.t.Context(), "post.v0.software_instance",
			fmt.Sprintf(
				`{"title": %q, "software_release_uri": "u", "software_type": "d", "parameters": {"by": "%d"}}`, title,
				dice.IntN(3),
			),
		)
		if status == http.StatusForbidden && strings.Contains(text, "No free computer partition found") {
			v.dry.Add(1)
			continue
		}
		var d struct {
			ID    string `json:"instance_guid"`
			Place string `json:"compute_partition_id"`
		}
		if err := json.Unmarshal([]byte(text), &d); err != nil || status != http.StatusOK || d.ID == "" || d.Place == "" {
			v.t.Errorf("a request: %d %s", status, text)
			return
		}
		note(start, held{what: "made", id: d.ID}, title, d.Place)
		if dice.IntN(3) == 0 {
			continue // it stays
		}
		start = v.now()
		status, text, lost := v.ask(
			v.t.Context(), "put.v0.software_instance_reported_state",
			fmt.Sprintf(`{"instance_guid": %q, "reported_state": "destroyed"}`, d.ID),
		)
		gone := status == http.StatusForbidden && strings.Contains(text, "No software instance")
		if status != http.StatusOK && !gone {
			v.t.Errorf("a report: %d %s", status, text)
			return
		}
		note(start, held{what: "gone", id: d.ID, ok: !gone, lost: lost}, title, d.Place)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ops = append(v.ops, mine...)
}

// look sees in the end what there is of each title and in each partition.
func (v *slaposKilled) look() {
	start := v.now()
	status, text, _ := v.ask(v.t.Context(), "allDocs.v0.compute_node_instance_list", `{"computer_guid": "COMP-1"}`)
	var list struct {
		Results []struct {
			Title string `json:"title"`
			ID    string `json:"instance_guid"`
			Place string `json:"compute_partition_id"`
		} `json:"result_list"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil || status != http.StatusOK {
		v.t.Fatal(status, text, err)
	}
	is := map[string]string{}
	for i := range v.titles {
		is[fmt.Sprint("title t", i)] = ""
	}
	for i := range v.partitions {
		is[fmt.Sprint("partition p", i)] = ""
	}
	for _, n := range list.Results {
		is["title "+n.Title], is["partition "+n.Place] = n.ID, n.ID
	}
	for key, id := range is {
		v.ops = append(
			v.ops,
			porcupine.Operation{ClientId: v.clients, Input: held{what: "is", key: key, id: id}, Call: start, Return: v.now()},
		)
	}
}

// What must not be is seen.
func TestSlaposHeld(t *testing.T) {
	at := func(from, to int64, op held) porcupine.Operation {
		return porcupine.Operation{Input: op, Call: from, Return: to}
	}
	for what, history := range map[string][]porcupine.Operation{
		"two of one title":             {at(0, 1, held{what: "made", id: "a"}), at(2, 3, held{what: "made", id: "b"})},
		"two at once":                  {at(0, 9, held{what: "made", id: "a"}), at(0, 9, held{what: "made", id: "b"})},
		"what was acknowledged is not": {at(0, 1, held{what: "made", id: "a"}), at(2, 3, held{what: "is"})},
		"what is gone is": {
			at(0, 1, held{what: "made", id: "a"}), at(2, 3, held{what: "gone", id: "a", ok: true}),
			at(4, 5, held{what: "is", id: "a"}),
		},
		"gone twice": {
			at(0, 1, held{what: "made", id: "a"}), at(2, 3, held{what: "gone", id: "a", ok: true}),
			at(4, 5, held{what: "gone", id: "a", ok: true}),
		},
		"not found though it is": {at(0, 1, held{what: "made", id: "a"}), at(2, 3, held{what: "gone", id: "a"})},
	} {
		if porcupine.CheckOperations(slaposHeld, history) {
			t.Errorf("%s: it is taken for right", what)
		}
	}
}
