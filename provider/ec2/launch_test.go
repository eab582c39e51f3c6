package ec2_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/ec2/ec2test"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

// instances is how many there are in a place.
func instances(c *ec2test.Cloud) (n int) {
	for _, s := range c.Things() {
		if s[:8] == "instance" {
			n++
		}
	}
	return n
}

// TestLostAnswer loses the answer to a launch, so that the SDK asks again, and again to the last:
// there is one instance.
func TestLostAnswer(t *testing.T) {
	for attempts, n := range map[int]int{3: 1, 2: 2} {
		c, url := place(t, ec2test.Options{})
		p := open(t, url, func(o *ec2.Options) { o.Attempts = attempts })
		c.FailAfter(
			"RunInstances", n,
			ec2test.Fault{Status: http.StatusInternalServerError, Code: "InternalError", Message: "An internal error has occurred"},
		)
		_, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
		if (err == nil) != (n < attempts) {
			t.Errorf("Create: %v", err)
		}
		if err != nil && (session.ReasonOf(err) != session.Down || provider.WasUnasked(err)) {
			t.Errorf("Create: %v: reason %q; it may have made one", err, session.ReasonOf(err))
		}
		if _, err := open(t, url, nil).Create(t.Context(), compute.Spec{ID: "suite-1"}); err != nil {
			t.Errorf("Create by the next process: %v", err)
		}
		if n := instances(c); n != 1 {
			t.Errorf("there are %d instances", n)
		}
		gone(t, p, "suite-1")
		if left := things(c); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

func create(t *testing.T, p *ec2.Provider, id compute.ID) compute.Instance {
	t.Helper()
	in, err := p.Create(t.Context(), compute.Spec{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// TestFallback tries types, zones and markets in order, remembers where there was nothing, and says
// what each one said when there is nothing anywhere.
func TestFallback(t *testing.T) {
	c, url := place(t, ec2test.Options{})
	p := open(t, url, func(o *ec2.Options) {
		o.Types, o.Zones, o.Spot = []string{"m5.large", "c5.xlarge"}, ec2test.Zones, "first"
	})
	c.Empty("m5.large", "xx-test-1a", "spot", -1)
	for i, want := range []struct {
		typ, zone, market string
		calls             int
	}{{"m5.large", "xx-test-1b", "spot", 2}, {"m5.large", "xx-test-1b", "spot", 1}} {
		// the second time the empty place is not asked, and none is repeated
		before := c.Calls("RunInstances")
		in := create(t, p, compute.ID("suite-"+string(rune('1'+i))))
		if in.Facts["type"] != want.typ || in.Facts["zone"] != want.zone || in.Facts["market"] != want.market {
			t.Errorf("made at %v, want %v", in.Facts, want)
		}
		if n := c.Calls("RunInstances") - before; n != want.calls {
			t.Errorf("%d calls to launch, want %d", n, want.calls)
		}
	}
	for _, typ := range []string{"m5.large", "c5.xlarge"} {
		c.Empty(typ, "", "spot", -1)
	}
	if in := create(t, p, "suite-4"); in.Facts["market"] != "" || in.Facts["type"] != "m5.large" {
		t.Errorf("without spot capacity: %v", in.Facts)
	}
	for _, typ := range []string{"m5.large", "c5.xlarge"} {
		c.Empty(typ, "", "on-demand", -1)
	}
	_, err := p.Create(t.Context(), compute.Spec{ID: "suite-5"})
	if !errors.Is(err, compute.ErrNoCapacity) || session.ReasonOf(err) != session.NoHardware || !provider.WasUnasked(err) ||
		compute.Hint(err) == "" {
		t.Errorf("Create with no capacity anywhere: %v (%s), unasked %v", err, session.ReasonOf(err), provider.WasUnasked(err))
	}
	for _, word := range []string{"8 places", "c5.xlarge", "xx-test-1b", "sufficient m5.large capacity"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
}

// TestNeed chooses types by what is needed, the cheapest first.
func TestNeed(t *testing.T) {
	_, url := place(t, ec2test.Options{})
	priced := func(o *ec2.Options) { o.Prices = []string{"t3.micro 0.0104", "m5.large 0.096", "t3.micro 0.01"} }
	for i, c := range []struct {
		change func(*ec2.Options)
		spec   compute.Spec
		want   string
	}{
		{nil, compute.Spec{}, "t3.nano"},
		{nil, compute.Spec{Memory: 1 << 30}, "t3.micro"},
		{nil, compute.Spec{Cores: 3}, "c5.xlarge"},
		{nil, compute.Spec{GPUs: 1}, "g4dn.xlarge"},
		{nil, compute.Spec{Flavor: "m5.xlarge"}, "m5.xlarge"},
		{func(o *ec2.Options) { o.Match = "^m" }, compute.Spec{}, "m5.large"},
		{func(o *ec2.Options) { o.Image = "ami-arm" }, compute.Spec{}, "m6g.large"},
		{func(o *ec2.Options) { o.Types = []string{"t3.nano", "m5.xlarge", "m5.large"} }, compute.Spec{Memory: 4 << 30}, "m5.xlarge"},
		{func(o *ec2.Options) { o.Cores, o.Memory = 4, 16<<30 }, compute.Spec{}, "m5.xlarge"},
		{nil, compute.Spec{Cores: 64}, ""},
		// what the smaller one costs nobody knows
		{priced, compute.Spec{MaxPrice: 0.01}, "t3.micro"},
		{priced, compute.Spec{MaxPrice: 0.1, Cores: 2, Memory: 8 << 30}, "m5.large"},
		{priced, compute.Spec{MaxPrice: 0.09, Cores: 2, Memory: 8 << 30}, ""},
		{priced, compute.Spec{MaxPrice: 0.1, Flavor: "m5.xlarge"}, ""},
		{func(o *ec2.Options) { priced(o); o.Types = []string{"m5.large", "t3.micro"} }, compute.Spec{MaxPrice: 0.05}, "t3.micro"},
		// bid for
		{func(o *ec2.Options) { priced(o); o.Spot = "first" }, compute.Spec{MaxPrice: 0.5}, "t3.nano"},
	} {
		p := open(t, url, func(o *ec2.Options) {
			o.Types = nil
			if c.change != nil {
				c.change(o)
			}
		})
		c.spec.ID = compute.ID(fmt.Sprintf("suite-%d", i))
		in, err := p.Create(t.Context(), c.spec)
		if c.want == "" {
			if !errors.Is(err, compute.ErrTooLarge) {
				t.Errorf("%+v: %v, want ErrTooLarge", c.spec, err)
			}
			continue
		}
		if err != nil || in.Facts["type"] != c.want {
			t.Errorf("%+v: %q, %v, want %s", c.spec, in.Facts["type"], err, c.want)
		}
		gone(t, p, c.spec.ID)
	}
}

// TestImages finds images by id, by pattern and owner, and one that was replaced meanwhile.
func TestImages(t *testing.T) {
	c, url := place(t, ec2test.Options{})
	for name, want := range map[string]string{
		image: image, "debian-12-amd64-*": "ami-newer", "debian-12-amd64-20260101": image, "resolve:ssm:/x": "",
		"fedora-*": "", "": "", "ami-none": "", "debian-12-amd64-20260111": "",
	} {
		p := open(t, url, func(o *ec2.Options) { o.Image = name })
		in, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
		if want == "" {
			if err == nil || !provider.WasUnasked(err) {
				t.Errorf("image %q: %+v, %v", name, in, err)
			}
			continue
		}
		if err != nil || in.Facts["image"] != want {
			t.Errorf("image %q: %q, %v, want %s", name, in.Facts["image"], err, want)
		}
		gone(t, p, "suite-1")
	}
	p := open(t, url, func(o *ec2.Options) { o.Image = "debian-12-amd64-*" })
	create(t, p, "suite-2")
	c.RemoveImage("ami-newer")
	if in := create(t, p, "suite-3"); in.Facts["image"] != image {
		t.Errorf("after the newest image was deleted: %v", in.Facts)
	}
}

// TestPatience counts what is repeated: what is throttled is, what is refused is not, and the SDK's
// tries are those that are asked for.
func TestPatience(t *testing.T) {
	for _, c := range []struct {
		fault  ec2test.Fault
		times  int
		calls  int
		kind   error
		reason session.Reason
	}{
		{ec2test.Fault{Status: 503, Code: "RequestLimitExceeded", Message: "Request limit exceeded."}, 1, 2, nil, ""},
		{ec2test.Fault{Status: 503, Code: "Unavailable", Message: "Try later"}, -1, 3, compute.ErrUnavailable, session.Down},
		{
			ec2test.Fault{
				Status: 403, Code: "UnauthorizedOperation",
				Message: "You are not authorized. Encoded authorization failure message: x",
			},
			-1, 1, compute.ErrDenied, session.Denied,
		},
		{
			ec2test.Fault{Status: 400, Code: "VcpuLimitExceeded", Message: "More vCPU than your limit"}, -1, 1,
			compute.ErrNoCapacity, session.Quota,
		},
		{
			ec2test.Fault{Status: 400, Code: "InsufficientFreeAddressesInSubnet", Message: "No addresses"}, -1, 1,
			compute.ErrNoCapacity, session.Quota,
		},
		{
			ec2test.Fault{Status: 500, Code: "InsufficientInstanceCapacity", Message: "No capacity"}, -1, 1,
			compute.ErrNoCapacity, session.NoHardware,
		},
		{ec2test.Fault{Status: 400, Code: "InvalidSubnetID.NotFound", Message: "No such subnet"}, -1, 1,
			compute.ErrNotFound, session.Missing},
		{ec2test.Fault{Status: 400, Code: "ExpiredToken", Message: "The security token is expired"}, -1, 1,
			compute.ErrDenied, session.Denied},
	} {
		cloud, url := place(t, ec2test.Options{})
		cloud.Fail("RunInstances", c.times, c.fault)
		p := open(t, url, func(o *ec2.Options) { o.Attempts = 3 })
		_, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
		if c.kind == nil && err != nil || c.kind != nil && !errors.Is(err, c.kind) || session.ReasonOf(err) != c.reason {
			t.Errorf("%s: %v (%q), want %v (%q)", c.fault.Code, err, session.ReasonOf(err), c.kind, c.reason)
		}
		if err != nil && (!strings.Contains(err.Error(), c.fault.Code) || strings.Contains(err.Error(), "Encoded")) {
			t.Errorf("%s: the words are not right: %v", c.fault.Code, err)
		}
		if n := cloud.Calls("RunInstances"); n != c.calls {
			t.Errorf("%s: %d calls, want %d", c.fault.Code, n, c.calls)
		}
	}
}

// TestCredentials are wrong, or there are none: the error says so, and no secret.
func TestCredentials(t *testing.T) {
	_, url := place(t, ec2test.Options{AccessKey: "AKIDOTHER"})
	p := open(t, url, nil)
	_, err := p.List(t.Context())
	if !errors.Is(err, compute.ErrDenied) || compute.Hint(err) == "" || strings.Contains(err.Error(), "not-to-be-seen") {
		t.Errorf("with another's credentials: %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	if _, err := open(t, url, nil).List(t.Context()); !errors.Is(err, compute.ErrDenied) ||
		!strings.Contains(err.Error(), "no credentials") {
		t.Errorf("without credentials: %v", err)
	}
	t.Setenv("AWS_REGION", "")
	if _, err := open(t, url, nil).List(t.Context()); !errors.Is(err, compute.ErrInvalid) ||
		!strings.Contains(compute.Hint(err), "region") {
		t.Errorf("without a region: %v", err)
	}
	if _, err := open(
		t, url, func(o *ec2.Options) { o.Profile = "none-of-this-name" },
	).List(t.Context()); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("with a profile that there is not: %v", err)
	}
}

// TestMany has many who ask what there is at once: few calls answer them.
func TestMany(t *testing.T) {
	c, url := place(t, ec2test.Options{Page: 10})
	p := open(t, url, func(o *ec2.Options) { o.Poll = time.Hour })
	for i := range 5 {
		create(t, p, compute.ID(fmt.Sprintf("suite-%d", i)))
	}
	before := c.Calls("DescribeInstances")
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			if _, err := p.Console(t.Context(), compute.ID(fmt.Sprintf("suite-%d", i%5))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := c.Calls("DescribeInstances") - before; n > 1 {
		t.Errorf("%d looks for 200 who ask within one poll", n)
	}
}
