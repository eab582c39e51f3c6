package master_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/legacy"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/store/sqlite"
)

// many is a master with so many computers C0, C1, ... of a hundred partitions each, all in use.
func many(b *testing.B, path string, computers int) *master.Master {
	b.Helper()
	m := on(b, path)
	var all sync.WaitGroup
	each := make(chan int)
	for range 16 {
		all.Go(func() {
			for i := range each {
				if err := fill(b.Context(), m, fmt.Sprint("C", i)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range computers {
		each <- i
	}
	close(each)
	all.Wait()
	if b.Failed() {
		b.FailNow()
	}
	return m
}

func on(b *testing.B, path string) *master.Master {
	b.Helper()
	st, err := sqlite.Open(b.Context(), path, sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { st.Close() })
	m, err := master.New(b.Context(), master.Options{Store: st})
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func fill(ctx context.Context, m *master.Master, guid string) error {
	return fillSome(ctx, m, guid, 100)
}

// fillHalf is fill of a computer of which half stays free.
func fillHalf(ctx context.Context, m *master.Master, guid string) error {
	return fillSome(ctx, m, guid, 50)
}

func fillSome(ctx context.Context, m *master.Master, guid string, busy int) error {
	c := &proto.Configuration{Computer: guid}
	for i := range 100 {
		c.Partitions = append(c.Partitions, proto.ConfiguredPartition{ID: fmt.Sprint("p", i), Interface: "tap",
			Addresses: []proto.ConfiguredAddress{
				{IP: fmt.Sprint("10.0.0.", i), Netmask: "255.255.255.255"},
				{IP: fmt.Sprintf("2001:db8::%x", i), Netmask: "ffff::"},
			}})
	}
	if err := m.Computers.Format(ctx, access.Anybody, c); err != nil {
		return err
	}
	for i := range busy {
		if _, err := m.Requests.Request(ctx, access.Anybody, onComputer(guid, i, 0)); err != nil {
			return err
		}
	}
	return nil
}

func onComputer(guid string, i, version int) *proto.Request {
	q := instance(i, version)
	q.Title, q.Filter = fmt.Sprint("instance ", i, " of ", guid), proto.Dictionary{"computer_guid": guid}
	return q
}

// ear takes an answer down, one after another.
type ear struct {
	header http.Header
	body   bytes.Buffer
	status int
}

func (h *ear) Header() http.Header         { return h.header }
func (h *ear) WriteHeader(status int)      { h.status = status }
func (h *ear) Write(b []byte) (int, error) { return h.body.Write(b) }

// straight is what one request costs without a network, on average of n that are sent so many times
// over: processor time, which is the same whatever else the machine does, with what the store and
// the collector of garbage do meanwhile. What asks and hears leaves next to no garbage of its own,
// as a server that reads from connections leaves little.
func straight(b *testing.B, h http.Handler, n, times int, next func(i int) *proto.Request) time.Duration {
	b.Helper()
	forms := make([]string, n)
	for i := range forms {
		form, err := next(i).Form()
		if err != nil {
			b.Fatal(err)
		}
		forms[i] = form.Encode()
	}
	one := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/requestComputerPartition", nil)
	one.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := &ear{header: http.Header{}}
	began := spent(b)
	for i := range n * times {
		r := *one
		form := forms[i%n]
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(form)), int64(len(form))
		clear(w.header)
		w.body.Reset()
		w.status = http.StatusOK
		if h.ServeHTTP(w, &r); w.status != http.StatusOK {
			b.Fatal(w.body.String())
		}
	}
	return (spent(b) - began) / time.Duration(n*times)
}

// BenchmarkMany is what a request costs where there are a thousand computers of a hundred busy
// partitions, and how many times that is what it costs where there are ten: the logarithms of how
// many instances there are make 1.67. Requests of either are about a thousand instances: first is
// of those that are unchanged and were not asked for before, same of those that were, whose answers
// are kept. Each is measured in a process of its own, which has just begun; MiB is the memory that
// the larger one holds after it, of which some 20 are tables of the tests here.
func BenchmarkMany(b *testing.B) {
	dir := b.TempDir()
	measure := func(computers int) (out costs) {
		path := filepath.Join(dir, fmt.Sprint(computers, ".db"))
		many(b, path, computers)
		child := exec.CommandContext(b.Context(), os.Args[0], "-test.run", "^TestMany$")
		child.Env, child.Stderr = append(os.Environ(), manyVariable+"="+fmt.Sprint(computers, " ", path)), os.Stderr
		text, err := child.Output()
		if err != nil {
			b.Fatal(err)
		}
		line, _, _ := bytes.Cut(text, []byte("\n"))
		if err := json.Unmarshal(line, &out); err != nil {
			b.Fatalf("%s: err = %v; want no error", text, err)
		}
		return out
	}
	for b.Loop() {
		few, most := measure(10), measure(1000)
		b.ReportMetric(float64(most.First)/float64(few.First), "x-first")
		b.ReportMetric(float64(most.Same)/float64(few.Same), "x-same")
		b.ReportMetric(float64(most.Change)/float64(few.Change), "x-change")
		b.ReportMetric(float64(most.New)/float64(few.New), "x-new")
		b.ReportMetric(float64(most.Shared)/float64(few.Shared), "x-shared")
		b.ReportMetric(float64(most.New.Microseconds()), "us-new")
		b.ReportMetric(float64(most.Shared.Microseconds()), "us-shared")
		b.ReportMetric(float64(most.First.Microseconds()), "us-first")
		b.ReportMetric(float64(most.Same.Microseconds()), "us-same")
		b.ReportMetric(float64(most.Change.Microseconds()), "us-change")
		b.ReportMetric(most.Start.Seconds(), "s-start")
		b.ReportMetric(most.MiB, "MiB-resident")
		b.ReportMetric(most.Peak, "MiB-peak")
	}
}

const manyVariable = "HOSTLER_SLAP_MANY"

// costs are what a process measures for BenchmarkMany.
type costs struct {
	Start, First, Same, Change, New, Shared time.Duration
	MiB, Peak                               float64
}

// TestMany is the process in which BenchmarkMany measures; by itself it does nothing.
func TestMany(t *testing.T) {
	where, asked := os.LookupEnv(manyVariable)
	if !asked {
		return
	}
	testing.Benchmark(func(b *testing.B) {
		if b.N > 1 {
			return
		}
		var computers int
		var path string
		if _, err := fmt.Sscan(where, &computers, &path); err != nil {
			b.Fatal(err)
		}
		// as in the program, where so much is in use
		defer debug.SetGCPercent(debug.SetGCPercent(25))
		began := spent(b)
		m := on(b, path)
		c := costs{Start: spent(b) - began}
		h := legacy.New(m, wire.Options{})
		at := func(i int) (string, int) { return fmt.Sprint("C", i*7%computers), i / 10 % 100 }
		unchanged := func(i int) *proto.Request { c, p := at(i); return onComputer(c, p, 0) }
		c.First = straight(b, h, 1000, 1, unchanged)
		c.Same = straight(b, h, 1000, 20, unchanged)
		c.Change = straight(b, h, 1000, 1, func(i int) *proto.Request { c, p := at(i); return onComputer(c, p, i+1) })
		for i := range computers { // each node asks what is wanted
			if _, _, err := m.Computers.Information(b.Context(), access.Anybody, fmt.Sprint("C", i)); err != nil {
				b.Fatal(err)
			}
		}
		roots := func(i int) *proto.Request { return &proto.Request{Title: fmt.Sprint("new ", i), Release: demo} }
		if err := fillHalf(b.Context(), m, "D"); err != nil { // where there is room
			b.Fatal(err)
		}
		c.New = straight(b, h, 50, 1, roots)
		c.Shared = straight(b, h, 200, 1, func(i int) *proto.Request {
			q := roots(i)
			q.Title, q.Shared = fmt.Sprint("shared ", i), true
			return q
		})
		c.MiB, c.Peak = resident(b), peak(b)
		runtime.KeepAlive(m)
		text, err := json.Marshal(c)
		if err != nil {
			b.Fatal(err)
		}
		fmt.Println(string(text))
	})
}

// peak is the most memory that this process has held, in MiB.
func peak(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Maxrss) / (1 << 10) // in KiB on Linux
}

// resident is the memory that this process holds, in MiB.
func resident(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	fields := strings.Fields(string(text))
	pages, err := strconv.Atoi(fields[1])
	if err != nil {
		b.Fatal(err)
	}
	return float64(pages*os.Getpagesize()) / (1 << 20)
}

// BenchmarkWatch is what a thousand nodes that wait for a change cost, of a core: when nothing
// changes, and when other computers change a hundred times a second.
func BenchmarkWatch(b *testing.B) {
	m := open(b, master.Options{Computer: "C"})
	for i := range 2 {
		if err := fill(b.Context(), m, fmt.Sprint("C", i)); err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(b.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	first, err := m.Computers.Await(ctx, access.Anybody, "C0", 0)
	if err != nil {
		b.Fatal(err)
	}
	for range 1000 {
		all.Go(func() { _, _ = m.Computers.Await(ctx, access.Anybody, "C0", first) })
	}
	change := func(i int) {
		if _, err := m.Requests.Request(ctx, access.Anybody, onComputer("C1", i%100, i+1)); err != nil {
			b.Error(err)
		}
	}
	core := func(n int, each time.Duration, do func(i int)) float64 {
		was, began := spent(b), time.Now()
		for i := range n {
			do(i)
			time.Sleep(time.Until(began.Add(time.Duration(i+1) * each)))
		}
		return 100 * float64(spent(b)-was) / float64(time.Since(began))
	}
	for b.Loop() {
		b.ReportMetric(core(5, time.Second, func(int) {}), "%-idle")
		b.ReportMetric(core(300, 10*time.Millisecond, change), "%-100-changes/s")
	}
	cancel()
	all.Wait()
	ctx = b.Context() // the same changes without anybody who waits
	b.ReportMetric(core(300, 10*time.Millisecond, change), "%-changes-alone")
}

// spent is the processor time of this process.
func spent(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
