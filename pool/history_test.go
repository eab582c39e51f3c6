package pool_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store/postgres"
	"github.com/hostler-project/hostler/store/postgres/pgtest"
	"github.com/hostler-project/hostler/store/storetest"
)

func init() { children["history"] = historyChild }

// historySources: fewer computers than processes, cleaned at each return, reached directly and
// through a pool.
var historySources = []pool.Source{
	{Name: "few", Type: "fake", Digest: "d", Reserve: 2, Maximum: 3},
	{Name: "front", Type: "pool", Digest: "d", Children: []string{"few"}},
}

// monotonic is a clock that all processes share, in nanoseconds.
func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err)
	}
	return ts.Nano()
}

// onAny opens an engine on the store that a directory is for: a database where it has an address,
// else a file.
func onAny(dir string, sources []pool.Source) (*pool.Pool, storetest.Handle, error) {
	dsn, err := os.ReadFile(filepath.Join(dir, "postgres"))
	if errors.Is(err, fs.ErrNotExist) {
		return onDisk(dir, sources, nil)
	} else if err != nil {
		return nil, nil, err
	}
	st, err := postgres.Open(context.Background(), string(dsn), postgres.Options{})
	// its connection was cut as it began
	for tries := 0; errors.Is(err, compute.ErrUnavailable) && tries < 20; tries++ {
		time.Sleep(50 * time.Millisecond)
		st, err = postgres.Open(context.Background(), string(dsn), postgres.Options{})
	}
	if err != nil {
		return nil, nil, err
	}
	p, err := engineOn(dir, st, sources, nil)
	return p, st, err
}

// cutOff is the status of a child that does not know what became of what it asked for, as its
// connection was cut in the midst of that. It is as good as killed.
const cutOff = 7

// historyChild takes and gives back, and prints when.
func historyChild(dir string, args []string) error {
	p, st, err := onAny(dir, historySources)
	if err != nil {
		return err
	}
	defer st.Close()
	ctx := context.Background()
	self, err := proc.Live(os.Getpid())
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for k := range n {
		source := []string{"few", "front"}[k%2]
		start := monotonic()
		ls, err := p.Acquire(ctx, compute.Request{Source: source, Count: 1, Owner: "ann", For: self, Wait: time.Minute})
		if err != nil {
			return unlessCut(dir, err)
		}
		leaf, err := p.Leaf(ctx, ls[0].Instance)
		if err != nil {
			return unlessCut(dir, err)
		}
		fmt.Println("acquire", leaf.ID, start, monotonic())
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
		fmt.Println("releasing", leaf.ID, monotonic())
		if err := p.Release(ctx, compute.Who{Owner: "ann"}, compute.ReleaseOptions{}, ls[0].Instance); err != nil {
			return unlessCut(dir, err)
		}
		fmt.Println("released", leaf.ID, monotonic())
	}
	return nil
}

// unlessCut ends the process if its connection to a database was cut. On a machine so busy that it
// has no other within the store's grace it was taken for dead: then what it was making is gone, or
// another's.
func unlessCut(dir string, err error) error {
	_, e := os.Stat(filepath.Join(dir, "postgres"))
	lost := func(kind error) bool { return errors.Is(err, kind) }
	if lost(compute.ErrUnavailable) ||
		e == nil && slices.ContainsFunc([]error{compute.ErrNotFound, compute.ErrStale, compute.ErrNotLeased}, lost) {
		os.Exit(cutOff)
	}
	return err
}

type leaseOp struct {
	take bool
	id   string
}

// leaseModel: a computer is free or taken; only a free one can be taken, only a taken one given
// back. Computers do not matter to each other.
var leaseModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[string][]porcupine.Operation{}
		for _, op := range history {
			id := op.Input.(leaseOp).id
			by[id] = append(by[id], op)
		}
		var out [][]porcupine.Operation
		for _, ops := range by {
			out = append(out, ops)
		}
		return out
	},
	Init: func() any { return false },
	Step: func(state, input, _ any) (bool, any) {
		take := input.(leaseOp).take
		return state.(bool) != take, take
	},
	DescribeOperation: func(input, _ any) string { return fmt.Sprint(input) },
}

// TestHistory lets processes compete, kills some at any moment, and checks that what all of them
// saw can have happened one after the other.
func TestHistory(t *testing.T) { history(t, t.TempDir(), 10, 25, nil) }

// TestHistoryPostgres has the processes share a database, whose connections are cut too.
func TestHistoryPostgres(t *testing.T) {
	server := pgtest.Start(t)
	dir := t.TempDir()
	dsn := server.Database(t)
	must(t, os.WriteFile(filepath.Join(dir, "postgres"), []byte(dsn), 0o600))
	// its tables are made before connections are cut
	st, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	must(t, err)
	must(t, st.Close())
	history(t, dir, 6, 25, func() error { return server.Cut(t.Context()) })
}

// history has so many processes, at any time, take and give back so many times; disturb, if there
// is one, is called now and then.
func history(t *testing.T, dir string, processes, rounds int, disturb func() error) {
	quiet := func() {}
	if disturb != nil {
		stop, over := make(chan struct{}), make(chan struct{})
		quiet = sync.OnceFunc(func() { close(stop); <-over })
		defer quiet()
		go func() {
			defer close(over)
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(200+rand.IntN(600)) * time.Millisecond):
					if err := disturb(); err != nil {
						t.Error(err)
					}
				}
			}
		}()
	}
	var mu sync.Mutex
	var ops []porcupine.Operation
	var wg sync.WaitGroup
	given := 0
	for client := range processes {
		wg.Go(func() {
			// Each of the killed ones is followed by another, so that there is competition to the
			// end.
			for generation := range 3 {
				c := child(t.Context(), "history", dir, strconv.Itoa(rounds))
				out, err := c.StdoutPipe()
				if err == nil {
					err = c.Start()
				}
				if err != nil {
					t.Error(err)
					return
				}
				kill := client%2 == 0 && generation < 2
				var killed int64
				if kill {
					time.AfterFunc(time.Duration(50+rand.IntN(400))*time.Millisecond, func() { c.Process.Kill() })
				}
				var text strings.Builder
				io.Copy(&text, out)
				err = c.Wait()
				killed = monotonic()
				if err != nil && !kill && c.ProcessState.ExitCode() != cutOff {
					t.Error(err)
				}
				mu.Lock()
				mine := parse(t, client, text.String(), killed)
				for _, op := range mine {
					if op.Input.(leaseOp).take {
						given++
					}
				}
				ops = append(ops, mine...)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	quiet()
	least := processes * rounds / 2
	if disturb != nil { // where all is slow most processes end by a cut after a few
		least = processes
	}
	if given < least {
		t.Fatalf("only %d were given", given)
	}
	res, info := porcupine.CheckOperationsVerbose(leaseModel, ops, 2*time.Minute)
	if res != porcupine.Ok {
		f, err := os.CreateTemp("", "history-*.html")
		if err == nil {
			porcupine.Visualize(leaseModel, info, f)
			f.Close()
			t.Logf("see %s", f.Name())
		}
		t.Fatalf("%d operations: %s", len(ops), res)
	}
	t.Logf("%d leases by %d processes, some of them killed", given, processes*3)

	p, st, err := onAny(dir, historySources)
	must(t, err)
	defer st.Close()
	// Where a worker whose connection is cut may come back, what the killed have left is theirs for
	// some seconds.
	var is []compute.Instance
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		_, err = p.RunDue(t.Context())
		must(t, err)
		is, err = p.Instances(t.Context(), inventory.InstanceQuery{})
		must(t, err)
		busy := func(i compute.Instance) bool { return i.State != compute.Ready }
		if !slices.ContainsFunc(is, busy) || disturb == nil || time.Now().After(limit) {
			break
		}
	}
	records := map[compute.ID]bool{}
	for _, i := range is {
		if i.Source != "few" || i.State != compute.Ready {
			t.Errorf("in the end %s is %s", i.ID, i.State)
		}
		records[i.ID] = true
	}
	stock(t, "in the end", dir, "few", st, records)
}

// parse reads what a process printed. What it held when it died is free at some time after that.
func parse(t *testing.T, client int, text string, died int64) []porcupine.Operation {
	var ops []porcupine.Operation
	holds, releasing := "", int64(0)
	s := bufio.NewScanner(strings.NewReader(text))
	for s.Scan() {
		f := strings.Fields(s.Text())
		num := func(n int) int64 {
			v, err := strconv.ParseInt(f[n], 10, 64)
			if err != nil {
				t.Errorf("process %d printed %q", client, s.Text())
			}
			return v
		}
		switch {
		case len(f) == 4 && f[0] == "acquire":
			ops = append(ops, porcupine.Operation{ClientId: client, Input: leaseOp{true, f[1]}, Call: num(2), Return: num(3)})
			holds, releasing = f[1], 0
		case len(f) == 3 && f[0] == "releasing":
			releasing = num(2)
		case len(f) == 3 && f[0] == "released":
			ops = append(ops, porcupine.Operation{ClientId: client, Input: leaseOp{false, f[1]}, Call: releasing, Return: num(2)})
			holds = ""
		}
	}
	if holds != "" {
		from := died - int64(time.Second) // it died some time before its end was seen
		if releasing != 0 {
			from = releasing
		} else if n := len(ops); n > 0 {
			from = max(from, ops[n-1].Return)
		}
		ops = append(ops, porcupine.Operation{ClientId: client, Input: leaseOp{false, holds}, Call: from, Return: math.MaxInt64})
	}
	return ops
}
