package auth

import (
	"cmp"
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// LimitOptions say how often somebody may ask. Zero: the default; negative: without limit.
type LimitOptions struct {
	Requests     float64 // of a principal, a second; 1000
	RequestBurst int     // so many at once; 2000
	// requests of an address that come with nothing that the controller knows, a second; 1
	Failures     float64
	FailureBurst int // so many at once; 30
	// requests of a principal that are being served, streams and those that wait among them; 2000
	AtOnce   int
	Remember int // so many principals, and addresses; 10000
	now      func() time.Time
}

// Limits counts who asks how often. It remembers a bounded number: where there are more, those are
// forgotten that have asked little.
type Limits struct {
	opt      LimitOptions
	requests buckets
	failures buckets

	mu   sync.Mutex
	busy map[string]int // requests of principals that are being served
}

// NewLimits makes Limits.
func NewLimits(opt LimitOptions) *Limits {
	opt.Requests, opt.RequestBurst = cmp.Or(opt.Requests, 1000), cmp.Or(opt.RequestBurst, 2000)
	opt.Failures, opt.FailureBurst = cmp.Or(opt.Failures, 1), cmp.Or(opt.FailureBurst, 30)
	opt.AtOnce = cmp.Or(opt.AtOnce, 2000)
	most := cmp.Or(opt.Remember, 10000)
	if opt.now == nil {
		opt.now = time.Now
	}
	return &Limits{
		opt: opt, requests: buckets{rate: opt.Requests, burst: opt.RequestBurst, most: most},
		failures: buckets{rate: opt.Failures, burst: opt.FailureBurst, most: most},
	}
}

// Request counts a request of a principal's. ok: he may make it; else when he may.
func (l *Limits) Request(p Principal) (wait time.Duration, ok bool) {
	if p.Own || l.opt.Requests < 0 {
		return 0, true // the controller's own user
	}
	return l.requests.take(p.Name, l.opt.now(), 1)
}

// Enter counts a request of a principal's that is being served, until leave is called. ok: there
// may be one more.
func (l *Limits) Enter(p Principal) (leave func(), ok bool) {
	if p.Own || l.opt.AtOnce < 0 {
		return func() {}, true // the controller's own user
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy[p.Name] >= l.opt.AtOnce {
		return nil, false
	}
	if l.busy == nil {
		l.busy = map[string]int{}
	}
	l.busy[p.Name]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.busy[p.Name]--; l.busy[p.Name] == 0 {
			delete(l.busy, p.Name)
		}
	}, true
}

// Stranger tells whether an address may try to be known, after so many failures; else when it may.
func (l *Limits) Stranger(address string) (wait time.Duration, ok bool) {
	if l.opt.Failures < 0 || address == "" {
		return 0, true
	}
	return l.failures.take(network(address), l.opt.now(), 0)
}

// Failed counts that an address came with nothing that the controller knows.
func (l *Limits) Failed(address string) {
	if l.opt.Failures >= 0 && address != "" {
		l.failures.take(network(address), l.opt.now(), 1)
	}
}

// network is the network that one customer has of IPv6, which may be any of its addresses, or the
// address itself.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Unmap().Is4() {
		return address
	}
	p, _ := ip.WithZone("").Prefix(64)
	return p.String()
}

// buckets are limits by name.
type buckets struct {
	rate  float64
	burst int
	most  int

	mu  sync.Mutex
	all map[string]*rate.Limiter
}

// take takes n of a name's bucket, if there is as much as one in it. n 0 only looks.
func (b *buckets) take(name string, now time.Time, n int) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.all[name]
	if l == nil {
		if n == 0 {
			return 0, true
		}
		if b.all == nil {
			b.all = map[string]*rate.Limiter{}
		}
		b.room(now)
		l = rate.NewLimiter(rate.Limit(b.rate), b.burst)
		b.all[name] = l
	}
	if has := l.TokensAt(now); has < 1 {
		return time.Duration(math.Ceil((1-has)/b.rate*1000)) * time.Millisecond, false
	}
	return 0, l.AllowN(now, n)
}

// room forgets one where there are too many: of some, that which has most left, as it loses least.
func (b *buckets) room(now time.Time) {
	if len(b.all) < b.most {
		return
	}
	var best string
	has, seen := -1.0, 0
	for name, l := range b.all {
		if t := l.TokensAt(now); t > has {
			best, has = name, t
		}
		if seen++; seen == 16 {
			break
		}
	}
	delete(b.all, best)
}
