package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"

	"github.com/hostler-project/hostler/store/postgres/pgtest"
)

// proof is how much is asked of a fleet whose controllers are killed at any moment.
// $HOSTLER_FLEET_OPERATIONS=100000 and $HOSTLER_FLEET_KILLS=50 ask for more than CI does.
type proof struct{ operations, kills, clients int }

func proofSize(t *testing.T) proof {
	p := proof{operations: 1200, kills: 6, clients: 24}
	for name, to := range map[string]*int{"OPERATIONS": &p.operations, "KILLS": &p.kills, "CLIENTS": &p.clients} {
		text := os.Getenv("HOSTLER_FLEET_" + name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		*to = n
	}
	return p
}

// proofSources: many that need no cleaning, a few that are cleaned and that more ask for than there
// are, reached directly and through a pool.
var proofSources = map[string]string{
	"many":  "type = fake\nreuse = as-is\nreserve = 40\nmaximum = 60\n",
	"few":   "type = fake\nreserve = 3\nmaximum = 5\n",
	"front": "type = pool\nsources = few\n",
}

// TestFleetKilled: three controllers on one database, killed at any moment and started again.
func TestFleetKilled(t *testing.T) {
	server := pgtest.Start(t)
	m := newMachine(t)
	m.onDatabase(server.Database(t))
	proofSize(t).run(m, 3)
}

// TestControllerKilled: the same of one, with its state in a file.
func TestControllerKilled(t *testing.T) { proofSize(t).run(newMachine(t), 1) }

// taking is an operation of the model: a computer taken, or given back.
type taking struct {
	take bool
	id   string
}

// takings: a computer is free or taken; only a free one can be taken, only a taken one given back.
// Computers do not matter to each other.
var takings = porcupine.Model{
	Partition: func(history []porcupine.Operation) (out [][]porcupine.Operation) {
		by := map[string][]porcupine.Operation{}
		for _, op := range history {
			id := op.Input.(taking).id
			by[id] = append(by[id], op)
		}
		for _, ops := range by {
			out = append(out, ops)
		}
		return out
	},
	Init: func() any { return false },
	Step: func(state, input, _ any) (bool, any) {
		take := input.(taking).take
		return state.(bool) != take, take
	},
	DescribeOperation: func(input, _ any) string { return fmt.Sprint(input) },
}

// proving is a proof under way.
type proving struct {
	proof
	*fleet
	begin time.Time
	done  atomic.Int64 // operations that were answered
	again atomic.Int64 // those that were asked for more than once
	dry   atomic.Int64 // requests for which nothing came free in time

	mu  sync.Mutex
	ops []porcupine.Operation
}

func (p proof) run(m *machine, controllers int) {
	t := m.t.(*testing.T)
	for name, text := range proofSources {
		m.source(name, text)
	}
	v := &proving{proof: p, fleet: newFleet(t, m, controllers), begin: time.Now()}
	watching, unwatch := context.WithCancel(t.Context())
	var seen []int64
	var cuts int
	var newest atomic.Int64
	var watcher, clients, killer sync.WaitGroup
	watcher.Go(func() { seen, cuts = v.events(watching, &newest) })
	kills, over := 0, make(chan struct{})
	killer.Go(func() { kills = v.killing(over) })
	for n := range p.clients {
		clients.Go(func() { v.client(n) })
	}
	clients.Wait()
	took := time.Since(v.begin)
	close(over)
	killer.Wait()
	for _, s := range v.all {
		s.await()
	}
	if t.Failed() {
		unwatch()
		watcher.Wait()
		return
	}
	t.Logf("%d operations in %v (%.0f a second), of which %d had to be asked for again; %d kills; %d requests found nothing free in time",
		v.done.Load(), took.Round(time.Second), float64(v.done.Load())/took.Seconds(), v.again.Load(), kills, v.dry.Load())
	v.check()
	v.inventory()
	all := v.journal()
	for limit := time.Now().Add(time.Minute); newest.Load() < all[len(all)-1] && time.Now().Before(limit); {
		time.Sleep(20 * time.Millisecond) // it hears late
	}
	unwatch()
	watcher.Wait()
	// More may have happened between the two looks.
	if n := min(len(seen), len(all)); n < len(all) || !slices.Equal(seen[:n], all[:n]) {
		t.Errorf("the journal has %d events, and a watcher who went on after %d cuts heard %d of them", len(all), cuts, len(seen))
	} else {
		t.Logf("a watcher heard all %d events in order, across %d cuts", len(seen), cuts)
	}
}

// killing kills one after the other, at any moment, and starts it again soon, until that was often
// enough and the clients are done.
func (v *proving) killing(over <-chan struct{}) (kills int) {
	// Spread over the operations, however long these take.
	for {
		next := int64(v.operations) * int64(kills+1) / int64(v.kills+1)
		for v.done.Load() < next || kills >= v.kills {
			select {
			case <-over:
				return kills
			case <-time.After(5 * time.Millisecond):
			}
		}
		select {
		case <-over:
			return kills
		case <-time.After(time.Duration(rand.IntN(100)) * time.Millisecond):
		}
		s := v.all[rand.IntN(len(v.all))]
		s.kill()
		kills++
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		s.start()
	}
}

// client takes and gives back until all is done.
func (v *proving) client(n int) {
	dice := rand.New(rand.NewPCG(uint64(n), 1))
	var mine []porcupine.Operation
	for v.done.Load() < int64(v.operations) && !v.t.Failed() {
		source := []string{"few", "front", "many", "many", "many", "many", "many", "many", "many", "many"}[dice.IntN(10)]
		start := v.now()
		l, ok := v.take(dice, n, source)
		if !ok {
			continue
		}
		id := l.Instance
		mine = append(mine, porcupine.Operation{ClientId: n, Input: taking{true, id}, Call: start, Return: v.now()})
		time.Sleep(time.Duration(dice.IntN(3)) * time.Millisecond)
		start = v.now()
		if !v.give(dice, l) {
			return
		}
		mine = append(mine, porcupine.Operation{ClientId: n, Input: taking{false, id}, Call: start, Return: v.now()})
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ops = append(v.ops, mine...)
}

// now is a clock for all clients.
func (v *proving) now() int64 { return int64(time.Since(v.begin)) }

// insist asks controllers until one has answered, for no longer than a minute or two.
func (v *proving) insist(dice *rand.Rand, what string, ask func(s *ship) (answered bool, err error)) bool {
	for limit, tries := time.Now().Add(2*time.Minute), 0; ; tries++ {
		if tries == 1 {
			v.again.Add(1)
		}
		answered, err := ask(v.all[dice.IntN(len(v.all))])
		if answered {
			return true
		}
		if time.Now().After(limit) {
			v.t.Errorf("%s: not in two minutes: %v", what, err)
			return false
		}
		time.Sleep(time.Duration(10+dice.IntN(50)) * time.Millisecond)
	}
}

// take takes an instance of a source; with the same key of any controller, until one answers.
func (v *proving) take(dice *rand.Rand, n int, source string) (l lease, ok bool) {
	key := uuid.NewString()
	body := fmt.Sprintf(`{"source": %q, "wait": 5, "purpose": "client %d"}`, source, n)
	answered := v.insist(dice, "take of "+source, func(s *ship) (bool, error) {
		got, status, err := s.acquire(v.t.Context(), key, body)
		switch status {
		case http.StatusCreated:
			l, ok = got, err == nil
		case http.StatusRequestTimeout, http.StatusTooManyRequests: // nothing came free
			v.dry.Add(1)
			return true, nil
		case 0, http.StatusServiceUnavailable:
			return false, err
		default:
			v.t.Errorf("take of %s: %v", source, err)
			return true, nil
		}
		return ok, err
	})
	if ok {
		v.done.Add(1)
	}
	return l, answered && ok
}

// give gives a lease back. Asked for the first time it must be there: it was acknowledged.
func (v *proving) give(dice *rand.Rand, l lease) bool {
	first := true
	ok := v.insist(dice, "giving back "+l.Instance, func(s *ship) (bool, error) {
		status, text, err := s.ask(v.t.Context(), http.MethodDelete, "/v1/leases/"+l.ID, "", "")
		maybe := !first
		first = first && err != nil && unsent(err)
		switch {
		case err != nil:
			return false, err
		case status == http.StatusNoContent:
			return true, nil
		case status == http.StatusServiceUnavailable:
			first = false
			return false, errors.New(string(text))
		case maybe && (status == http.StatusConflict || status == http.StatusNotFound):
			// it was given back, and the answer was lost
			return true, nil
		}
		v.t.Errorf("lease %s on %s, which was acknowledged, is not there: %d %s", l.ID, l.Instance, status, text)
		return true, nil
	})
	if ok {
		v.done.Add(1)
	}
	return ok
}

// unsent tells that a request came to nobody.
func unsent(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}

// check has porcupine look whether what clients saw can have happened one after the other.
func (v *proving) check() {
	t := v.t
	t.Helper()
	start := time.Now()
	res, info := porcupine.CheckOperationsVerbose(takings, v.ops, 2*time.Minute)
	if res != porcupine.Ok {
		if f, err := os.CreateTemp("", "fleet-*.html"); err == nil {
			_ = porcupine.Visualize(takings, info, f)
			_ = f.Close()
			t.Logf("see %s", f.Name())
		}
		t.Fatalf("%d operations: %s", len(v.ops), res)
	}
	t.Logf("porcupine: %d operations are in order, found in %v", len(v.ops), time.Since(start).Round(time.Millisecond))
}

// inventory: in the end nothing is leased, nothing is under way, and there are the computers that
// are recorded.
func (v *proving) inventory() {
	t := v.t
	t.Helper()
	var records map[string]string
	atRest := func() bool {
		records = v.instances()
		for _, state := range records {
			if state != "ready" {
				return false
			}
		}
		return true
	}
	for limit := time.Now().Add(90 * time.Second); !atRest(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(limit) {
			_, text, _ := v.all[0].ask(t.Context(), http.MethodGet, "/v1/leases", "", "")
			t.Fatalf("in the end there are %v\nleases: %s", records, text)
		}
	}
	for _, source := range []string{"many", "few"} {
		there := v.computers(source)
		if len(there) == 0 {
			t.Errorf("there are no computers of %s", source)
		}
		for _, id := range there {
			if records[id] == "" {
				t.Errorf("%s is there and not recorded", id)
			}
			delete(records, id)
		}
	}
	for id := range records {
		t.Errorf("%s is recorded and not there", id)
	}
}
