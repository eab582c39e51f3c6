package openstack_test

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack"
)

// BenchmarkThousandServers makes 1,000 servers that boot for 30 s each, at a cloud whose services
// take 20 requests a second each, over real HTTP. A server is ready when the cloud says that it is
// ACTIVE; all are waited for at once. It prints how the time compares to 1.2 times the boot and
// what the limit allows, and how often the cloud was asked meanwhile.
func BenchmarkThousandServers(b *testing.B) {
	const servers, boot, limit = 1000, 30 * time.Second, 20
	for range b.N {
		s := newSim(b)
		s.boot = boot
		s.limits = map[string]*rate.Limiter{"compute": rate.NewLimiter(limit*1.2, limit*2), "network": rate.NewLimiter(limit*1.2, limit*2)}
		p, err := openstack.Open(b.Context(), slog.New(slog.DiscardHandler), openstack.Options{
			Image: "debian", Source: "web", Installation: "inst", Dir: b.TempDir(),
			Session: s.session(b, openstack.SessionOptions{Rate: limit, Burst: 1}), HostKey: "known-hosts",
		})
		if err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		var most uint64
		var wg sync.WaitGroup
		var mu sync.Mutex
		created := begin
		looks := 0
		for i := range servers {
			wg.Go(func() {
				id := compute.ID(fmt.Sprintf("web-%d", i))
				for {
					_, err := p.Create(b.Context(), compute.Spec{ID: id})
					if err == nil {
						break
					}
					if !errors.Is(err, compute.ErrUnavailable) {
						b.Error(err)
						return
					}
				}
				mu.Lock()
				created = time.Now()
				looks = s.count("GET servers")
				mu.Unlock()
				for p.Check(b.Context(), id) != nil {
					time.Sleep(500 * time.Millisecond) // as often as a person would look
				}
				var m runtime.MemStats
				if i%100 == 0 {
					runtime.ReadMemStats(&m)
					mu.Lock()
					most = max(most, m.HeapInuse)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		took, wait := time.Since(begin), time.Since(created)
		polls := float64(s.count("GET servers")-looks) / wait.Seconds()
		total := s.count("POST servers") + s.count("GET servers") + s.count("GET flavors")
		allowed := boot*12/10 + time.Duration(float64(total)/limit*float64(time.Second))
		b.ReportMetric(took.Seconds(), "s/all-ready")
		b.ReportMetric(took.Seconds()/allowed.Seconds(), "of-allowed-time")
		b.ReportMetric(polls/2, "of-2-polls/s")
		b.ReportMetric(float64(most)/(200<<20), "of-200-MiB")
	}
}
