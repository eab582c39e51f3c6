package cloud_test

import (
	"errors"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/cloud"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/ec2/ec2test"
)

// TestEC2 spawns, uses and destroys an instance of an EC2 that follows Amazon's wire format, whose
// instances are real ssh servers.
func TestEC2(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8")
	}
	amazon(t)
	guests := must(ec2test.NewGuests(t.TempDir()))(t)
	there := ec2test.New(ec2test.Options{Guest: guests.Start, Instances: 5})
	server := httptest.NewServer(there)
	defer there.Close()
	defer server.Close()
	there.AddImage(ec2test.Image{
		ID: "ami-debian", Name: "debian-12-amd64", Owner: "136693071363", Alias: "amazon",
		Created: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	})
	before := strings.Join(there.Things(), ", ")
	p := start(t, newSky(), state(t), func(o *cloud.Options) {
		o.Dir, o.Open = filepath.Join(t.TempDir(), "keys"), cloud.EC2(ec2.Options{
			Endpoint: server.URL, Port: guests.Port, Poll: 50 * time.Millisecond,
		})
	})
	defer p.stop(t)
	ctx := t.Context()
	if _, err := p.Deploy(ctx, cloud.DeployConfig{CIDR: "192.168.0.0/24"}); !errors.Is(err, compute.ErrInvalid) || compute.Hint(err) == "" {
		t.Errorf("what cannot be made is not refused: %v", err)
	}
	d := must(p.Deploy(ctx, cloud.DeployConfig{RequiredPorts: []int{22}, From: []string{"203.0.113.0/24"}}))(t)
	if got := strings.Join(there.Rules("test"), ", "); got != "icmp -1--1 203.0.113.0/24, tcp 22-22 203.0.113.0/24" ||
		d.Details["secgroup"] == "" || d.Details["keypair"] != "test" || !strings.Contains(d.PrivateKey, "PRIVATE KEY") {
		t.Errorf("deployed %q, with the rules %q", d.Details, got)
	}
	f := must(p.CheapestServerFlavor(ctx, 1, 512, `^t3\.`))(t)
	srv := must(p.Spawn(ctx, cloud.Order{OS: "ami-debian", Flavor: f.ID}))(t)
	if out, _, err := srv.RunCmd(ctx, "echo hi", false); out != "hi\n" || err != nil {
		t.Errorf("out = %q, err = %v; want out == \"hi\\n\" and no error", out, err)
	}
	if q := must(p.GetQuota(ctx))(t); q.Max.Instances != 5 || q.Used.Instances != 1 || q.Used.Cores != f.Cores || q.Used.RAM != f.RAM {
		t.Errorf("quota: %+v", q)
	}
	there.Fail("RunInstances", -1, ec2test.Fault{Code: "InsufficientInstanceCapacity", Status: 500})
	if _, err := p.Spawn(ctx, cloud.Order{OS: "ami-debian", Flavor: f.ID}); !p.ErrIsNoHardware(err) {
		t.Errorf("no hardware: %v", err)
	}
	there.Heal()
	if would, err := p.TearDown(ctx, true); err != nil || len(would) != 3 || !slices.Contains(would, "server "+srv.Name) {
		t.Errorf("it would delete %q, %v", would, err)
	}
	if deleted, err := p.TearDown(ctx, false); err != nil || len(deleted) != 3 {
		t.Errorf("deleted = %q, err = %v; want no error and len(deleted) == 3", deleted, err)
	}
	if after := strings.Join(there.Things(), ", "); after != before {
		t.Errorf("there is %s, and was %s", after, before)
	}
}

// TestEC2OwnKey deploys with a key pair of the user's, whose private half the deployment does not
// have.
func TestEC2OwnKey(t *testing.T) {
	amazon(t)
	there := ec2test.New(ec2test.Options{})
	server := httptest.NewServer(there)
	defer there.Close()
	defer server.Close()
	p := start(t, newSky(), state(t), func(o *cloud.Options) {
		o.Dir, o.Open = filepath.Join(t.TempDir(), "keys"), cloud.EC2(ec2.Options{
			Endpoint: server.URL, Poll: 50 * time.Millisecond, Key: "mine", IdentityFile: filepath.Join(t.TempDir(), "mine.pem"),
		})
	})
	defer p.stop(t)
	for range 2 { // also where it is deployed already
		d, err := p.Deploy(t.Context(), cloud.DeployConfig{RequiredPorts: []int{22}})
		if err != nil || d.PrivateKey != "" {
			t.Errorf("Deploy: err = %v, private key of %d bytes; want no error and none", err, len(d.PrivateKey))
		}
	}
}

// amazon has the credentials of a test, and no others.
func amazon(t *testing.T) {
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "not-a-secret",
		"AWS_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_PROFILE": "", "AWS_SESSION_TOKEN": ""} {
		t.Setenv(name, value)
	}
}

// TestEC2AnotherAccount tears down with the credentials of another region than the one that was
// deployed in: nothing is looked at, and nothing forgotten.
func TestEC2AnotherAccount(t *testing.T) {
	amazon(t)
	there := ec2test.New(ec2test.Options{})
	server := httptest.NewServer(there)
	defer there.Close()
	defer server.Close()
	file, keys := state(t), t.TempDir()
	in := func(region string) process {
		return start(t, newSky(), file, func(o *cloud.Options) {
			o.Dir, o.Open = keys, cloud.EC2(ec2.Options{Endpoint: server.URL, Region: region, Poll: 20 * time.Millisecond})
		})
	}
	here := in("eu-west-1")
	must(here.Deploy(t.Context(), cloud.DeployConfig{RequiredPorts: []int{22}}))(t)
	here.stop(t)
	elsewhere := in("eu-north-1")
	if _, err := elsewhere.TearDown(t.Context(), false); !errors.Is(err, compute.ErrConflict) ||
		!strings.Contains(err.Error(), ec2test.Account+" in eu-west-1") || compute.Hint(err) == "" {
		t.Errorf("a teardown elsewhere: %v", err)
	}
	if _, err := elsewhere.Deploy(t.Context(), cloud.DeployConfig{}); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("a deployment elsewhere: %v", err)
	}
	if len(there.Rules("test")) != 2 {
		t.Errorf("the security group has %q", there.Rules("test"))
	}
	elsewhere.stop(t)
	again := in("eu-west-1")
	defer again.stop(t)
	if deleted, err := again.TearDown(t.Context(), false); err != nil || len(deleted) != 2 {
		t.Errorf("deleted = %q, err = %v; want no error and len(deleted) == 2", deleted, err)
	}
	if _, err := again.TearDown(t.Context(), false); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("a second time: %v", err)
	}
}

// TestEC2QuotaDenied has credentials that may not ask how many instances there may be: what runs is
// counted, there is no limit that is known, and the log says why.
func TestEC2QuotaDenied(t *testing.T) {
	amazon(t)
	there := ec2test.New(ec2test.Options{Instances: 5})
	server := httptest.NewServer(there)
	defer there.Close()
	defer server.Close()
	there.Fail(
		"DescribeAccountAttributes", -1,
		ec2test.Fault{Code: "UnauthorizedOperation", Status: 403, Message: "You are not authorized to perform this operation."},
	)
	var said strings.Builder
	p := start(t, newSky(), state(t), func(o *cloud.Options) {
		o.Log = slog.New(slog.NewTextHandler(&said, nil))
		o.Dir, o.Open = filepath.Join(t.TempDir(), "keys"), cloud.EC2(ec2.Options{Endpoint: server.URL, Poll: 50 * time.Millisecond})
	})
	defer p.stop(t)
	if q := must(p.GetQuota(t.Context()))(t); q != (cloud.Quota{}) {
		t.Errorf("quota: %+v", q)
	}
	f := must(p.CheapestServerFlavor(t.Context(), 1, 512, ""))(t)
	if n, why, err := p.Spawnable(t.Context(), f, 0); n < 1000 || why != "" || err != nil {
		t.Errorf(`n = %d, why = %q, err = %v; want n >= 1000 and why == "" and no error`, n, why, err)
	}
	if !strings.Contains(said.String(), "no limit") || !strings.Contains(said.String(), "ec2:DescribeAccountAttributes") {
		t.Errorf("it is told as %q", said.String())
	}
}

// TestEC2SkewedClock has a cloud whose clock is hours before or behind ours: of two idle servers
// the one goes whose time is over, and the other stays, whatever the cloud says of when they were
// made.
func TestEC2SkewedClock(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8")
	}
	amazon(t)
	for _, skew := range []time.Duration{-5 * time.Hour, 5 * time.Hour} {
		guests := must(ec2test.NewGuests(t.TempDir()))(t)
		there := ec2test.New(ec2test.Options{Guest: guests.Start, Skew: skew})
		server := httptest.NewServer(there)
		there.AddImage(ec2test.Image{
			ID: "ami-debian", Name: "debian-12-amd64", Owner: "136693071363", Alias: "amazon",
			Created: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		})
		p := start(t, newSky(), state(t), func(o *cloud.Options) {
			o.Dir, o.Open = filepath.Join(t.TempDir(), "keys"), cloud.EC2(ec2.Options{
				Endpoint: server.URL, Port: guests.Port, Poll: 50 * time.Millisecond,
			})
		})
		order := cloud.Order{OS: "ami-debian", Flavor: "t3.micro", TTD: 3 * time.Hour}
		stays := must(p.Spawn(t.Context(), order))(t)
		order.TTD = time.Millisecond
		goes := must(p.Spawn(t.Context(), order))(t)
		stays.StartCountdown()
		goes.StartCountdown()
		for end := time.Now().Add(time.Minute); must(p.Servers(t.Context()))(t)[goes.Name] != nil; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%v: it is idle, and still there", skew)
			}
		}
		if all := must(p.Servers(t.Context()))(t); len(all) != 1 || stays.Destroyed() || !stays.Alive(t.Context(), false) {
			t.Errorf("%v: there are %v", skew, all)
		}
		if _, err := p.TearDown(t.Context(), false); err != nil {
			t.Errorf("%v: err = %v; want no error", skew, err)
		}
		p.stop(t)
		server.Close()
		there.Close()
	}
}
