package auth

import (
	"cmp"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// LimitOptions limit how often callers may ask. Zero means the default, negative means no limit.
type LimitOptions struct {
	Requests     float64 // requests of one principal a second; default 1000
	RequestBurst int     // requests of one principal at once; default 2000
	// failed authentications of one address a second; default 1
	Failures     float64
	FailureBurst int // failed authentications of one address at once; default 30
	// requests of one principal in progress, including streams and waiting ones; default 2000
	AtOnce int
	// requests in progress of all principals, of which one has half at most; 0: no limit
	All int
	// bytes of long answers that are being written, of which one principal has half at most;
	// default 128 MiB
	Bytes    int
	Remember int // principals and addresses to remember; default 10000
	now      func() time.Time
}

// Limits serves requests within limits. It counts requests per principal and failures per address.
// Tokens that are limited to a project, a source or a lease count apart from their owner, and each
// such limit has half, so that nobody who has one of them shuts its owner out.
// Its memory is bounded: above the bound it forgets those that asked least. All methods may be
// called concurrently.
type Limits struct {
	opt      LimitOptions
	requests buckets
	scoped   buckets // requests of one scope, half of those
	failures buckets
	all      *Shares // requests in progress, by name
	bytes    *Shares // of answers that are being written, by name

	mu   sync.Mutex
	busy map[string]int // requests in progress, by what they count for
}

// NewLimits makes Limits, with defaults where opt is zero.
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
		scoped:   buckets{rate: opt.Requests / 2, burst: max(opt.RequestBurst/2, 1), most: most},
		all:      NewShares(int64(cmp.Or(opt.All, math.MaxInt))),
		bytes:    NewShares(int64(cmp.Or(opt.Bytes, 128<<20))),
		failures: buckets{rate: opt.Failures, burst: opt.FailureBurst, most: most},
	}
}

// Excess says why a caller is refused that asks too often.
type Excess struct {
	Text string        // which limit
	Wait time.Duration // when to ask again
}

// Seconds returns Wait for the header Retry-After.
func (e Excess) Seconds() string { return strconv.Itoa(int((e.Wait + time.Second - 1) / time.Second)) }

// Known serves a request of a known caller. It refuses it if the caller makes too many.
func (l *Limits) Known(p Principal, refuse func(Excess), serve func()) {
	if wait, ok := l.request(p); !ok {
		refuse(Excess{p.Name + " makes too many requests", wait})
		return
	}
	leave, ok := l.enter(p)
	if !ok {
		refuse(Excess{p.Name + " has too many requests that are being served, or that wait", time.Second})
		return
	}
	defer leave()
	serve()
}

// Unknown serves a request of a caller that is not known. It refuses it with a text if callers at
// its address have failed to authenticate too often. serve reports whether this one has failed.
//
// A known caller is served whatever other callers at its address do, as it may be that of a proxy.
func (l *Limits) Unknown(r *http.Request, text string, refuse func(Excess), serve func() (failed bool)) {
	from := RemoteHost(r)
	if wait, ok := l.mayAuthenticate(from); !ok {
		refuse(Excess{text, wait})
		return
	}
	if serve() {
		l.countFailure(from)
	}
}

// countedAs returns what a principal's requests count for: its name, or else the limited tokens of
// that name and one scope.
func countedAs(p Principal) (whole, scope string) {
	if scope = p.Scope(); scope == "" {
		return p.Name, ""
	}
	return p.Name + "\n", p.Name + "\n" + scope
}

// request counts a request of a principal. If it may not be made now, wait says how long to wait.
func (l *Limits) request(p Principal) (wait time.Duration, ok bool) {
	if p.Own || l.opt.Requests < 0 {
		return 0, true // the controller's own user
	}
	whole, scope := countedAs(p)
	now := l.opt.now()
	if scope != "" {
		if wait, ok := l.scoped.take(scope, now, 1); !ok {
			return wait, false
		}
	}
	return l.requests.take(whole, now, 1)
}

// enter counts a request as in progress until leave is called. If ok is false, the principal has
// too many requests in progress and leave is nil.
func (l *Limits) enter(p Principal) (leave func(), ok bool) {
	if p.Own {
		return func() {}, true // the controller's own user
	}
	whole, scope := countedAs(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	if most := l.opt.AtOnce; most >= 0 && (l.busy[whole] >= most || scope != "" && l.busy[scope] >= max(most/2, 1)) {
		return nil, false
	}
	free, ok := l.all.Take(p.Name, 1)
	if !ok {
		return nil, false
	}
	l.count(whole, 1)
	l.count(scope, 1)
	return func() {
		free()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.count(whole, -1)
		l.count(scope, -1)
	}, true
}

func (l *Limits) count(name string, n int) {
	if l.busy == nil {
		l.busy = map[string]int{}
	}
	if l.busy[name] += n; l.busy[name] == 0 {
		delete(l.busy, name)
	}
}

// Hold counts bytes of an answer that is being written to a principal, until free is called. If ok
// is false, the principal reads too many.
func (l *Limits) Hold(p Principal, bytes int) (free func(), ok bool) {
	if p.Own {
		return func() {}, true // the controller's own user
	}
	return l.bytes.Take(p.Name, int64(bytes))
}

// mayAuthenticate reports whether an address may try to authenticate. If not, wait says how long
// to wait.
func (l *Limits) mayAuthenticate(address string) (wait time.Duration, ok bool) {
	if l.opt.Failures < 0 || address == "" {
		return 0, true
	}
	return l.failures.take(Network(address), l.opt.now(), 0)
}

// countFailure counts a failed authentication of an address.
func (l *Limits) countFailure(address string) {
	if l.opt.Failures >= 0 && address != "" {
		l.failures.take(Network(address), l.opt.now(), 1)
	}
}

// Network returns what strangers at an address are counted by. For IPv6 it is the /64 network, as
// one customer has all of its addresses. For IPv4 it is the address itself.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Unmap().Is4() {
		return address
	}
	p, _ := ip.WithZone("").Prefix(64)
	return p.String()
}

// buckets are rate limiters by name.
type buckets struct {
	rate  float64
	burst int
	most  int

	mu  sync.Mutex
	all map[string]*rate.Limiter
}

// take takes n tokens from a name's bucket if it has at least one. With n 0 it only looks.
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
		b.evict(now)
		l = rate.NewLimiter(rate.Limit(b.rate), b.burst)
		b.all[name] = l
	}
	if has := l.TokensAt(now); has < 1 {
		return time.Duration(math.Ceil((1-has)/b.rate*1000)) * time.Millisecond, false
	}
	return 0, l.AllowN(now, n)
}

// evict makes room for one more bucket. It looks at 16 and drops the fullest, which loses least.
func (b *buckets) evict(now time.Time) {
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
