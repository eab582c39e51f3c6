package ec2test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options describe the service. The zero value has no limits and no delays.
type Options struct {
	Boot   time.Duration // from pending to running
	Stop   time.Duration // from stopping to stopped
	End    time.Duration // from shutting-down to terminated
	Hidden time.Duration // how long a new thing is neither listed nor found by its id
	Image  time.Duration // until a new image is available

	Instances int // the most instances that are not terminated; 0: no limit
	VCPUs     int // the quota of all running instances; 0: no limit

	Skew time.Duration // how far its clock is ahead of ours
	// the quotas of Service Quotas, by class: Standard/OnDemand; nil: there is no such service
	Limits map[string]int
	Rate   int // API calls a second, above which it throttles; 0: no limit

	AccessKey string // whose requests are accepted; "": all
	Page      int    // the most results in a page; 0: as requested

	// Guest starts the inside of an instance when it boots, and returns its address. nil: an
	// instance has an address where nothing answers.
	Guest func(Boot) (Guest, error)
}

// Boot is what a starting instance is told.
type Boot struct {
	Instance string
	UserData []byte
	Key      string // the public key that it was launched with; "": none
	First    bool   // it never started before
}

// Guest is the inside of a running instance.
type Guest struct {
	Address string // for ssh; "": one where nothing answers
	Console string // the output on its console at the start
	Stop    func() // ends it; may be nil
}

// Cloud is one account in one region. Any number of goroutines may use it.
type Cloud struct {
	o   Options
	all sync.WaitGroup // guests that are being started or stopped

	mu     sync.Mutex
	ids    *ids
	fleet  *fleet
	tokens map[string]token
	keys   *keys
	groups *groups
	disks  *disks
	spots  *spots
	places *places
	// TYPE/ZONE/MARKET without capacity, and how many more calls are refused; negative: all
	empty  map[string]int
	faults []*fail
	calls  map[string]int
	rate   rate
	closed bool
}

// rate counts calls for Options.Rate.
type rate struct {
	second time.Time
	calls  int // in that second
}

// ids makes identifiers.
type ids struct{ last int } // the number of ids given out

type fail struct {
	action string
	left   int
	fault  Fault
	after  bool // the action is done, but its answer is an error
	hang   chan struct{}
}

// New makes a service with a few types and no images.
func New(o Options) *Cloud {
	c := &Cloud{o: o, ids: &ids{}, tokens: map[string]token{}, calls: map[string]int{}, empty: map[string]int{}}
	c.places = &places{
		o: &c.o,
		types: []Type{
			{Name: "t3.nano", VCPUs: 2, Memory: 512}, {Name: "t3.micro", VCPUs: 2, Memory: 1024},
			{Name: "m5.large", VCPUs: 2, Memory: 8192}, {Name: "m5.xlarge", VCPUs: 4, Memory: 16384},
			{Name: "c5.xlarge", VCPUs: 4, Memory: 8192}, {Name: "m6g.large", VCPUs: 2, Memory: 8192, Arch: "arm64"},
			{Name: "g4dn.xlarge", VCPUs: 4, Memory: 16384, GPUs: 1, Disk: 125},
		},
	}
	c.disks = &disks{images: map[string]*image{}, snapshots: map[string]*snapshot{}, volumes: map[string]*volume{}}
	c.fleet = &fleet{o: &c.o, places: c.places, disks: c.disks, all: map[string]*instance{}}
	c.keys, c.spots = &keys{ids: c.ids, all: map[string]*keyPair{}}, &spots{all: map[string]*spotRequest{}}
	c.groups = &groups{ids: c.ids, all: map[string]*group{
		"sg-default": {id: "sg-default", name: "default", vpc: vpc},
	}}
	return c
}

// Fail makes the next n calls of an action ("RunInstances"; "*": any) fail with f. If n is
// negative, all calls fail.
func (c *Cloud) Fail(action string, n int, f Fault) { c.fail(&fail{action: action, left: n, fault: f}) }

// FailAfter does the next n calls of an action, but answers with the error f.
func (c *Cloud) FailAfter(action string, n int, f Fault) {
	c.fail(&fail{action: action, left: n, fault: f, after: true})
}

// Hang makes the next call of an action wait before it does anything. It ends when the client hangs
// up or release is called.
func (c *Cloud) Hang(action string) (release func()) {
	f := &fail{action: action, left: 1, hang: make(chan struct{})}
	c.fail(f)
	return sync.OnceFunc(func() { close(f.hang) })
}

func (c *Cloud) fail(f *fail) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, f)
}

// Heal cancels Fail, FailAfter and Empty.
func (c *Cloud) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults, c.empty = nil, map[string]int{}
}

// Empty removes the capacity for a type in a zone ("": any) for the next n calls that ask for it.
// If n is negative, it is for all calls. market is "spot" or "on-demand".
func (c *Cloud) Empty(typ, zone, market string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.empty[typ+"/"+zone+"/"+market] = n
}

// Calls returns how often an action was called. "": all actions.
func (c *Cloud) Calls(action string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if action != "" {
		return c.calls[action]
	}
	for _, k := range c.calls {
		n += k
	}
	return n
}

// Close ends all guests, and waits for that.
func (c *Cloud) Close() {
	c.mu.Lock()
	c.closed = true
	for _, i := range c.fleet.all {
		i.halt(&c.all)
	}
	c.mu.Unlock()
	c.all.Wait()
}

// next makes the next identifier of a kind. The caller holds the mutex.
func (n *ids) next(kind string) string {
	n.last++
	sum := sha256.Sum256(fmt.Append(nil, kind, n.last))
	return fmt.Sprintf("%s-%x", kind, sum[:8])
}

// action answers a call. The caller holds the mutex.
type action func(form) ([]elem, *Fault)

// actionsOf returns the actions of the API.
func actionsOf(c *Cloud) map[string]action {
	return map[string]action{
		"RunInstances":                  c.runInstances,
		"DescribeInstances":             c.fleet.describeInstances,
		"TerminateInstances":            c.terminateInstances,
		"StopInstances":                 c.stopInstances,
		"StartInstances":                c.startInstances,
		"DescribeInstanceStatus":        c.fleet.describeInstanceStatus,
		"GetConsoleOutput":              c.fleet.getConsoleOutput,
		"DescribeInstanceTypes":         c.places.describeInstanceTypes,
		"DescribeImages":                c.disks.describeImages,
		"CreateImage":                   c.createImage,
		"DeregisterImage":               c.disks.deregisterImage,
		"DescribeSnapshots":             c.disks.describeSnapshots,
		"DeleteSnapshot":                c.disks.deleteSnapshot,
		"DescribeVolumes":               c.disks.describeVolumes,
		"DeleteVolume":                  c.disks.deleteVolume,
		"DescribeKeyPairs":              c.keys.describeKeyPairs,
		"ImportKeyPair":                 c.keys.importKeyPair,
		"DeleteKeyPair":                 c.keys.deleteKeyPair,
		"DescribeSecurityGroups":        c.groups.describeSecurityGroups,
		"CreateSecurityGroup":           c.groups.createSecurityGroup,
		"DeleteSecurityGroup":           c.deleteSecurityGroup,
		"AuthorizeSecurityGroupIngress": c.groups.authorize,
		"RevokeSecurityGroupIngress":    c.groups.revoke,
		"DescribeSpotInstanceRequests":  c.spots.describeSpotInstanceRequests,
		"CancelSpotInstanceRequests":    c.spots.cancelSpotInstanceRequests,
		"DescribeSpotPriceHistory":      c.places.describeSpotPriceHistory,
		"DescribeAccountAttributes":     c.places.describeAccountAttributes,
		"DescribeSubnets":               c.places.describeSubnets,
		"DescribeAvailabilityZones":     c.places.describeAvailabilityZones,
		"CreateTags":                    c.fleet.createTags,
	}
}

// ServeHTTP answers one call.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f := form(r.Form)
	action := f.get("Action")
	if target, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "ServiceQuotasV20190624."); ok && c.o.Limits != nil {
		c.serviceQuotas(w, r, target)
		return
	}
	c.mu.Lock()
	c.calls[action]++
	request := fmt.Sprintf("request-%d", c.calls[action])
	bad := admit(c.o, &c.rate, r)
	var after *fail
	if bad == nil {
		for _, x := range c.faults {
			if x.left == 0 || x.action != "*" && x.action != action {
				continue
			}
			x.left--
			if after = x; !x.after && x.hang == nil {
				bad = &x.fault
			}
			break
		}
	}
	if after != nil && after.hang != nil {
		c.mu.Unlock()
		select {
		case <-after.hang:
		case <-r.Context().Done():
			return
		}
		c.mu.Lock()
	}
	var kids []elem
	if bad == nil {
		c.settle()
		do, ok := actionsOf(c)[action]
		if !ok {
			bad = fault("InvalidAction", "The action %s is not valid for this web service.", action)
		} else if kids, bad = do(f); bad == nil && after != nil && after.after {
			bad = &after.fault
		}
	}
	c.mu.Unlock()
	if bad != nil {
		refuse(w, request, bad)
		return
	}
	answer(w, action, request, kids)
}

// admit refuses calls with a wrong key, and those above the rate.
func admit(o Options, count *rate, r *http.Request) *Fault {
	auth := r.Header.Get("Authorization")
	if o.AccessKey != "" && !strings.Contains(auth, "Credential="+o.AccessKey+"/") {
		return &Fault{
			Status: http.StatusUnauthorized, Code: "AuthFailure",
			Message: "AWS was not able to validate the provided access credentials",
		}
	}
	if !strings.HasPrefix(auth, "AWS4-HMAC-SHA256 ") {
		return &Fault{Status: http.StatusForbidden, Code: "MissingAuthenticationToken", Message: "Request is missing Authentication Token"}
	}
	if now := time.Now().Truncate(time.Second); o.Rate > 0 {
		if !now.Equal(count.second) {
			count.second, count.calls = now, 0
		}
		if count.calls++; count.calls > o.Rate {
			return &Fault{Status: http.StatusServiceUnavailable, Code: "RequestLimitExceeded", Message: "Request limit exceeded."}
		}
	}
	return nil
}
