package ec2_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/ec2/deployment"
	"github.com/hostler-project/hostler/provider/ec2/ec2test"
)

// deploy deploys, and returns what was told.
func deploy(t *testing.T, p *ec2.Provider, d deployment.Deployment) (deployment.Deployed, []string, error) {
	t.Helper()
	var told []string
	out, err := p.Deployment().Deploy(t.Context(), d, func(did, kind, name string) { told = append(told, did+" "+kind+" "+name) })
	return out, told, err
}

// TestDeployment makes, repeats, changes and tears down, with things of others beside it.
func TestDeployment(t *testing.T) {
	c, url := place(t, ec2test.Options{})
	p := open(t, url, nil)
	others := c.AddGroup("build-other")
	c.AddKey("build-other", "ssh-ed25519 AAAA")
	before := things(c)

	d, told, err := deploy(
		t, p,
		deployment.Deployment{
			Name: "build", Ports: []string{"22", "8000-8010", "udp/53"}, From: []string{"203.0.113.7/24", "2001:db8::/32"},
		},
	)
	if err != nil || d.Account != ec2test.Account || d.Region != "xx-test-1" || d.Pair != "build" || d.Group == "" ||
		d.Default != "sg-default" || !strings.Contains(d.PrivateKey, "PRIVATE KEY") {
		t.Fatalf("d = %+v, err = %v", d, err)
	}
	want := []string{"icmp -1--1 203.0.113.0/24", "icmpv6 -1--1 2001:db8::/32", "tcp 22-22 2001:db8::/32",
		"tcp 22-22 203.0.113.0/24", "tcp 8000-8010 2001:db8::/32", "tcp 8000-8010 203.0.113.0/24",
		"udp 53-53 2001:db8::/32", "udp 53-53 203.0.113.0/24"}
	if got := c.Rules("build"); !slices.Equal(got, want) || len(told) != 10 {
		t.Errorf("it lets in %q, want %q; told were %q", got, want, told)
	}
	again, told, err := deploy(
		t, p,
		deployment.Deployment{
			Name: "build", Ports: []string{"22", "8000-8010", "udp/53"}, From: []string{"203.0.113.0/24", "2001:db8::/32"},
		},
	)
	if err != nil || again != d || len(told) != 0 {
		t.Errorf("the second time: %+v, %q, %v", again, told, err)
	}
	// Somebody opens it to the world, and the settings are others now: its own instances alone.
	c.Let(d.Group, "tcp", "23", "0.0.0.0/0")
	if _, _, err = deploy(t, p, deployment.Deployment{Name: "build", Ports: []string{"22"}}); err != nil {
		t.Error(err)
	}
	if got, want := c.Rules("build"), []string{"icmp -1--1 " + d.Group, "tcp 22-22 " + d.Group}; !slices.Equal(got, want) {
		t.Errorf("it lets in %q, want %q", got, want)
	}

	// An instance of it goes with it, and one of another deployment does not.
	in := func(o *ec2.Options) {
		o.Deployment, o.Pair, o.SecurityGroups = "build", d.Pair, []string{d.Group, d.Default}
	}
	create(t, open(t, url, in), "suite-1")
	create(t, open(t, url, func(o *ec2.Options) { o.Deployment, o.Source = "build-other", "other" }), "other-1")
	would, _, err := p.Deployment().Teardown(t.Context(), "build", true)
	if err != nil || len(would) != 3 || would[0].String() != "instance suite-1" {
		t.Errorf("it would delete %q, %v", would, err)
	}
	deleted, _, err := p.Deployment().Teardown(t.Context(), "build", false)
	if err != nil || !slices.Equal(deleted, would) {
		t.Errorf("deleted %q, want %q; %v", deleted, would, err)
	}
	if _, _, err := p.Deployment().Teardown(t.Context(), "build", false); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("a second time: %v", err)
	}
	gone(t, open(t, url, func(o *ec2.Options) { o.Source = "other" }), "other-1")
	if after := things(c); !slices.Equal(after, before) || c.Rules("build") != nil || others == "" {
		t.Errorf("there is %q, and was %q", after, before)
	}
}

// TestTeardownOfMany asks for the end of all instances at once, and of each by itself where that is
// refused.
func TestTeardownOfMany(t *testing.T) {
	c, url := place(t, ec2test.Options{})
	p := open(t, url, nil)
	for _, refused := range []bool{false, true} {
		d, _, err := deploy(t, p, deployment.Deployment{Name: "build", Ports: []string{"22"}})
		if err != nil {
			t.Fatal(err)
		}
		in := open(t, url, func(o *ec2.Options) { o.Deployment, o.Pair, o.SecurityGroups = "build", d.Pair, []string{d.Group} })
		for n := range 3 {
			create(t, in, compute.ID(fmt.Sprint("suite-", n+1)))
		}
		rounds, asked := c.Calls("DescribeInstances"), c.Calls("TerminateInstances")
		if refused {
			c.Fail(
				"TerminateInstances", 1,
				ec2test.Fault{
					Status: http.StatusBadRequest, Code: "OperationNotPermitted",
					Message: "The instance 'i-1' may not be terminated.",
				},
			)
		}
		if deleted, _, err := p.Deployment().Teardown(t.Context(), "build", false); err != nil ||
			len(deleted) != 5 {
			t.Errorf("refused %v: deleted %q, %v", refused, deleted, err)
		}
		rounds, asked = c.Calls("DescribeInstances")-rounds, c.Calls("TerminateInstances")-asked
		if one := asked < rounds; one == refused {
			t.Errorf("refused %v: looked %d times, and asked %d times for their end", refused, rounds, asked)
		}
		c.Heal()
	}
}

// TestDeploymentOfOthers meets things of its name that are not its own.
func TestDeploymentOfOthers(t *testing.T) {
	c, url := place(t, ec2test.Options{})
	group := c.AddGroup("build")
	want := deployment.Deployment{Name: "build", Ports: []string{"22"}, From: []string{"0.0.0.0/0"}}
	p := open(t, url, nil)
	if _, _, err := deploy(t, p, want); !errors.Is(err, compute.ErrConflict) || len(c.Rules("build")) != 0 {
		t.Errorf("a group of somebody else's that does not let in: %v; it lets in %q", err, c.Rules("build"))
	}
	c.Let(group, "tcp", "22", "0.0.0.0/0")
	c.Let(group, "icmp", "-1", "0.0.0.0/0")
	c.Let(group, "tcp", "443", "0.0.0.0/0")
	if d, _, err := deploy(t, p, want); err != nil || d.Group != group || len(c.Rules("build")) != 3 {
		t.Errorf("one that lets in what is wanted: %+v, %v; it lets in %q", d, err, c.Rules("build"))
	}
	if deleted, _, err := p.Deployment().Teardown(t.Context(), "build", false); err != nil ||

		fmt.Sprint(deleted) != "[key pair build]" || len(c.Rules("build")) != 3 {
		t.Errorf("teardown deleted %q, %v", deleted, err)
	}
	c.AddKey("build", "ssh-ed25519 AAAAC3 somebody")
	if _, _, err := deploy(t, p, want); !errors.Is(err, compute.ErrConflict) || compute.Hint(err) == "" {
		t.Errorf("a key pair of somebody else's: %v", err)
	}
	// The same installation, and another directory: the private half is not there.
	first := open(t, url, nil)
	if _, _, err := deploy(t, first, deployment.Deployment{Name: "two"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := deploy(t, open(t, url, nil), deployment.Deployment{Name: "two"}); !errors.Is(err, compute.ErrConflict) ||
		!strings.Contains(err.Error(), "private half") {
		t.Errorf("without the private half: %v", err)
	}
	// And another installation.
	if _, _, err := deploy(
		t, open(t, url, func(o *ec2.Options) { o.Installation = "there" }), deployment.Deployment{Name: "two"},
	); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("another installation's: %v", err)
	}
	if _, _, err := open(
		t, url, func(o *ec2.Options) { o.Installation = "there" },
	).Deployment().Teardown(t.Context(), "two", false); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("another installation tears it down: %v", err)
	}
}

// TestDeploymentRefused has words that mean nothing, calls that fail, and answers that are lost.
func TestDeploymentRefused(t *testing.T) {
	c, url := place(t, ec2test.Options{})
	p := open(t, url, nil)
	for _, d := range []deployment.Deployment{
		{Name: "sg-1"}, {Name: ""}, {Name: "a/b"}, {Name: "a", Ports: []string{"0"}},
		{Name: "a", Ports: []string{"9-8"}}, {Name: "a", Ports: []string{"sctp/7"}},
		{Name: "a", From: []string{"everybody"}},
	} {
		if _, _, err := deploy(t, p, d); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("%+v: err = %v; want error compute.ErrInvalid", d, err)
		}
	}
	if n := c.Calls(""); n != 0 {
		t.Errorf("%d calls for what is wrong", n)
	}
	want := deployment.Deployment{Name: "build", Ports: []string{"22"}}
	lost := ec2test.Fault{Status: http.StatusInternalServerError, Code: "InternalError", Message: "An internal error has occurred"}
	for _, action := range []string{"ImportKeyPair", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress"} {
		c.FailAfter(action, 1, lost)
		if _, _, err := deploy(t, p, want); err != nil {
			t.Errorf("an answer to %s is lost: %v", action, err)
		}
		c.Heal()
	}
	c.Fail(
		"DeleteSecurityGroup", -1,
		ec2test.Fault{Status: http.StatusForbidden, Code: "UnauthorizedOperation", Message: "You are not authorized."},
	)
	if deleted, _, err := p.Deployment().Teardown(t.Context(), "build", false); !errors.Is(err, compute.ErrDenied) ||
		!strings.Contains(err.Error(), "security group build") || len(deleted) != 1 {
		t.Errorf("a teardown that may not: %q, %v", deleted, err)
	}
	c.Heal()
	if deleted, _, err := p.Deployment().Teardown(t.Context(), "build", false); err != nil ||
		fmt.Sprint(deleted) != "[security group build]" {
		t.Errorf("it goes on: %q, %v", deleted, err)
	}
	c.Fail(
		"DescribeSecurityGroups", 1,
		ec2test.Fault{Status: http.StatusForbidden, Code: "UnauthorizedOperation", Message: "You are not authorized."},
	)
	if account, region, err := p.Deployment().Account(t.Context()); account != "" || region != "xx-test-1" || err != nil {
		t.Errorf("who may not look: %q, %q, %v", account, region, err)
	}
}

// TestRefusedBeforeAnything makes nothing where it will refuse.
func TestRefusedBeforeAnything(t *testing.T) {
	c, url := place(t, ec2test.Options{})
	c.AddGroup("build")
	before, p, begun := things(c), open(t, url, nil), 0
	broken := errors.New("it cannot be recorded")
	begin := func() error { begun++; return broken }
	if _, told, err := deploy(
		t, p, deployment.Deployment{Name: "build", Ports: []string{"22"}, Begin: begin},
	); !errors.Is(err, compute.ErrConflict) || len(told) != 0 || begun != 0 {
		t.Errorf("a group of somebody else's: %v, after %q, begun %d times", err, told, begun)
	}
	if _, told, err := deploy(
		t, p, deployment.Deployment{Name: "other", Ports: []string{"22"}, Begin: begin},
	); !errors.Is(err, broken) || len(told) != 0 || begun != 1 {
		t.Errorf("not recorded: %v, after %q, begun %d times", err, told, begun)
	}
	if _, _, err := deploy(
		t, p, deployment.Deployment{Name: "other", Ports: []string{"22"}, Begin: begin, DryRun: true},
	); err != nil || begun != 1 {
		t.Errorf("a dry run: %v, begun %d times", err, begun)
	}
	if after := things(c); !slices.Equal(after, before) || c.Calls("ImportKeyPair") != 0 {
		t.Errorf("there was %q, and is %q", before, after)
	}
}

// TestTeardownOnAnInstance leaves the instance that it runs on, with its security groups, though
// another machine deployed; from elsewhere all of it goes.
func TestTeardownOnAnInstance(t *testing.T) {
	c, url := place(t, ec2test.Options{})
	d, _, err := deploy(t, open(t, url, nil), deployment.Deployment{Name: "build", Ports: []string{"22"}})
	if err != nil {
		t.Fatal(err)
	}
	in := func(o *ec2.Options) {
		o.Deployment, o.SecurityGroups = "build", []string{d.Group}
	}
	create(t, open(t, url, in), "suite-1")
	create(t, open(t, url, in), "suite-2")
	all, err := open(t, url, nil).Deployment().Servers(t.Context(), "build")
	if err != nil || len(all) != 2 {
		t.Fatalf("all = %v, err = %v; want no error and len(all) == 2", all, err)
	}
	var own atomic.Pointer[string]
	own.Store(&all[0].ID)
	var asked atomic.Int32 // with a token, as the second version of the service wants it
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
			_, _ = fmt.Fprint(w, "sesame")
		case r.URL.Path == "/latest/dynamic/instance-identity/document" && r.Header.Get("X-Aws-Ec2-Metadata-Token") == "sesame":
			asked.Add(1)
			_, _ = fmt.Fprintf(w, `{"instanceId": %q, "region": "xx-test-1", "accountId": %q}`, *own.Load(), ec2test.Account)
		default:
			http.NotFound(w, r)
		}
	}))
	defer service.Close()
	here := func(o *ec2.Options) { o.Metadata = service.URL }
	p := open(t, url, here)
	if s, err := p.Deployment().Self(t.Context()); err != nil || s == nil || s.Instance != all[0].Instance {
		t.Errorf("this is %+v, %v", s, err)
	}
	stays := fmt.Sprintf("[instance %s security group build]", all[0].Instance)
	goes := fmt.Sprintf("[instance %s key pair build]", all[1].Instance)
	for _, dry := range []bool{true, false} {
		if deleted, kept, err := p.Deployment().Teardown(t.Context(), "build", dry); err != nil || fmt.Sprint(kept) != stays ||
			fmt.Sprint(deleted) != goes {
			t.Errorf("dry %v: deleted %v, kept %v, %v", dry, deleted, kept, err)
		}
	}
	if left, err := p.Deployment().Servers(t.Context(), "build"); err != nil ||
		len(left) != 1 || left[0].ID != all[0].ID || len(c.Rules("build")) == 0 {
		t.Errorf("there are %+v, %v", left, err)
	}
	if deleted, kept, err := p.Deployment().Teardown(t.Context(), "build", false); !errors.Is(err, compute.ErrNotFound) ||
		len(deleted) != 0 || fmt.Sprint(kept) != stays {
		t.Errorf("again: deleted %v, kept %v, %v", deleted, kept, err)
	}
	elsewhere := "i-0123456789abcdef0" // of another account
	own.Store(&elsewhere)
	if s, err := open(t, url, here).Deployment().Self(t.Context()); s != nil || err != nil || asked.Load() < 4 {
		t.Errorf("an instance that is not there: %+v, %v", s, err)
	}
	if deleted, kept, err := open(t, url, nil).Deployment().Teardown(t.Context(), "build", false); err != nil ||
		len(kept) != 0 || len(deleted) != 2 {
		t.Errorf("from elsewhere: deleted %v, kept %v, %v", deleted, kept, err)
	}
}
