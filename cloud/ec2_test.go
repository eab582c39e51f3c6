package cloud_test

import (
	"errors"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/cloud"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/ec2/ec2test"
)

// TestEC2 spawns, uses and destroys an instance of an EC2 that follows Amazon's wire format, whose instances are real ssh servers.
func TestEC2(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8")
	}
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "not-a-secret", "AWS_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_PROFILE": "", "AWS_SESSION_TOKEN": ""} {
		t.Setenv(name, value)
	}
	guests := must(ec2test.NewGuests(t.TempDir()))(t)
	there := ec2test.New(ec2test.Options{Guest: guests.Start})
	server := httptest.NewServer(there)
	defer there.Close()
	defer server.Close()
	there.AddImage(ec2test.Image{ID: "ami-debian", Name: "debian-12-amd64", Owner: "136693071363", Alias: "amazon", Created: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
	before := strings.Join(there.Things(), ", ")
	p := start(t, newSky(), state(t), func(o *cloud.Options) {
		o.Dir, o.Open = filepath.Join(t.TempDir(), "keys"), cloud.EC2(ec2.Options{Endpoint: server.URL, Port: guests.Port, Poll: 50 * time.Millisecond})
	})
	defer p.stop(t)
	ctx := t.Context()
	if _, err := p.Deploy(ctx, cloud.DeployConfig{RequiredPorts: []int{22}}); !errors.Is(err, compute.ErrInvalid) || compute.Hint(err) == "" {
		t.Errorf("what cannot be made is not refused: %v", err)
	}
	must(p.Deploy(ctx, cloud.DeployConfig{}))(t)
	f := must(p.CheapestServerFlavor(ctx, 1, 512, `^t3\.`))(t)
	srv := must(p.Spawn(ctx, cloud.Order{OS: "ami-debian", Flavor: f.ID}))(t)
	if out, _, err := srv.RunCmd(ctx, "echo hi", false); out != "hi\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	there.Fail("RunInstances", -1, ec2test.Fault{Code: "InsufficientInstanceCapacity", Status: 500})
	if _, err := p.Spawn(ctx, cloud.Order{OS: "ami-debian", Flavor: f.ID}); !p.ErrIsNoHardware(err) {
		t.Errorf("no hardware: %v", err)
	}
	there.Heal()
	if deleted, err := p.TearDown(ctx, false); err != nil || len(deleted) != 1 {
		t.Errorf("%q, %v", deleted, err)
	}
	if after := strings.Join(there.Things(), ", "); after != before {
		t.Errorf("there is %s, and was %s", after, before)
	}
}
