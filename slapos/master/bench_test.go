package master_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/legacy"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
)

// busy is a master with a computer C, whose partitions are all in use, each with parameters and
// connection parameters of a kilobyte.
func busy(b *testing.B, partitions int) *master.Master {
	b.Helper()
	m := open(b, master.Options{Computer: "C"})
	c := &proto.Configuration{Computer: "C"}
	for i := range partitions {
		c.Partitions = append(c.Partitions, proto.ConfiguredPartition{ID: fmt.Sprint("p", i), Interface: "tap",
			Addresses: []proto.ConfiguredAddress{
				{IP: fmt.Sprint("10.0.0.", i), Netmask: "255.255.255.255"},
				{IP: fmt.Sprintf("2001:db8::%x", i), Netmask: "ffff::"},
			}})
	}
	if err := m.Computers.Format(b.Context(), access.Anybody, c); err != nil {
		b.Fatal(err)
	}
	for i := range partitions {
		q := instance(i, 0)
		if _, err := m.Requests.Request(b.Context(), access.Anybody, q); err != nil {
			b.Fatal(err)
		}
	}
	return m
}

func instance(i, version int) *proto.Request {
	return &proto.Request{
		Title: fmt.Sprint("instance ", i), Release: demo, State: proto.Started,
		Parameters: proto.Dictionary{"_": fmt.Sprintf(`{"version": %d, "text": %q}`, version, strings.Repeat("x", 700))},
	}
}

// rate sends what next makes from many clients at once, and returns how many answers there were a
// second; how long all but one of a hundred took at most is a metric, and the processor time of one
// with what its client needs: two cores alone can do no more than 2,000,000 of its microseconds in
// a second.
func rate(b *testing.B, h http.Handler, clients int, next func(base string, n int64) (*http.Request, error)) float64 {
	b.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var count atomic.Int64
	var mu sync.Mutex
	var all []time.Duration
	b.SetParallelism(max(1, clients/2))
	b.ResetTimer()
	b.StartTimer() // a rate before this one has stopped it
	before := spent(b)
	b.RunParallel(func(pb *testing.PB) {
		var took []time.Duration
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
		}()
		for pb.Next() {
			r, err := next(srv.URL, count.Add(1))
			if err != nil {
				b.Error(err)
				return
			}
			began := time.Now()
			answer, err := client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			_, err = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
			took = append(took, time.Since(began))
			if err != nil || answer.StatusCode != http.StatusOK {
				b.Errorf(
					"%s: answer.Status = %s err = %v"+
						"; want no error and answer.StatusCode == http.StatusOK",
					r.URL, answer.Status, err,
				)
				return
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64((spent(b)-before).Microseconds())/float64(b.N), "us-cpu")
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "ms-p99")
	return float64(b.N) / b.Elapsed().Seconds()
}

func get(path string) func(string, int64) (*http.Request, error) {
	return func(base string, _ int64) (*http.Request, error) {
		return http.NewRequestWithContext(context.Background(), http.MethodGet, base+path, nil)
	}
}

func post(q func(n int64) *proto.Request) func(string, int64) (*http.Request, error) {
	return func(base string, n int64) (*http.Request, error) {
		form, err := q(n).Form()
		if err != nil {
			return nil, err
		}
		return posted(base, form)
	}
}

func posted(base string, form url.Values) (*http.Request, error) {
	r, err := http.NewRequestWithContext(
		context.Background(), http.MethodPost, base+"/requestComputerPartition", strings.NewReader(form.Encode()),
	)
	if err == nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r, err
}

// bare is a server that answers the same bytes to all.
func bare(kind string, body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(body)
	})
}

// The floor of the benchmarks below: a bare server of net/http, which answers a small document of
// JSON.
func BenchmarkBare(b *testing.B) {
	b.ReportMetric(rate(b, bare("application/json", []byte(`{"result":"Ignored"}`)), 8, get("/")), "req/s")
}

func BenchmarkRunID(b *testing.B) {
	m := open(b, master.Options{Computer: "C"})
	b.ReportMetric(rate(b, legacy.New(m, wire.Options{}), 8, get("/getRunId")), "req/s")
}

// A request that changes nothing. The form is made once: what clients need for that is not the
// master's.
func BenchmarkUnchanged(b *testing.B) {
	m := busy(b, 10)
	form, err := instance(1, 0).Form()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(
		rate(b, legacy.New(m, wire.Options{}), 8, func(base string, _ int64) (*http.Request, error) { return posted(base, form) }),
		"req/s",
	)
}

func BenchmarkInformation(b *testing.B) {
	m := busy(b, 100)
	b.ReportMetric(rate(b, legacy.New(m, wire.Options{}), 8, get("/getFullComputerInformation?computer_id=C")), "req/s")
}

// The floor of it: a bare server that sends the same bytes.
func BenchmarkInformationBare(b *testing.B) {
	m := busy(b, 100)
	body, _, err := m.Computers.Information(b.Context(), access.Anybody, "C")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(body)), "bytes")
	b.ReportMetric(rate(b, bare("text/xml", body), 8, get("/")), "req/s")
}

// BenchmarkShare is what of the rate of a bare server the master has, one after the other in the
// same run: of getRunId and of a request that changes nothing beside a small document, and of what
// a node is told of a hundred partitions beside the same bytes, of which the p99 is.
func BenchmarkShare(b *testing.B) {
	some, full := legacy.New(busy(b, 10), wire.Options{}), busy(b, 100)
	body, _, err := full.Computers.Information(b.Context(), access.Anybody, "C")
	if err != nil {
		b.Fatal(err)
	}
	form, err := instance(1, 0).Form()
	if err != nil {
		b.Fatal(err)
	}
	small := rate(b, bare("application/json", []byte(`{"result":"Ignored"}`)), 8, get("/"))
	id := rate(b, some, 8, get("/getRunId"))
	same := rate(b, some, 8, func(base string, _ int64) (*http.Request, error) { return posted(base, form) })
	large := rate(b, bare("text/xml", body), 8, get("/"))
	information := rate(b, legacy.New(full, wire.Options{}), 8, get("/getFullComputerInformation?computer_id=C"))
	b.ReportMetric(100*id/small, "%-run-id")
	b.ReportMetric(100*same/small, "%-unchanged")
	b.ReportMetric(100*information/large, "%-information")
	b.ReportMetric(information, "information/s")
}

// A request that changes parameters is on the disk when it is answered.
func BenchmarkChange(b *testing.B) {
	for _, clients := range []int{8, 64} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			m := busy(b, 100)
			b.ReportMetric(
				rate(
					b, legacy.New(m, wire.Options{}), clients,
					post(func(n int64) *proto.Request { return instance(int(n%100), int(n)) }),
				),
				"req/s",
			)
		})
	}
}
