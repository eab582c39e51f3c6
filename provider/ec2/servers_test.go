package ec2_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/ec2/deployment"
	"github.com/hostler-project/hostler/provider/ec2/ec2test"
)

// TestServers lists the instances of all sources of an installation with what is wrong with them,
// and destroys one of another source with the volume that it left.
func TestServers(t *testing.T) {
	c, url := place(t, ec2test.Options{Page: 2, End: 20 * time.Millisecond})
	p := open(t, url, nil)
	before := things(c)
	other := open(t, url, func(o *ec2.Options) { o.Source, o.Deployment = "other", "team" })
	create(t, p, "suite-1")
	create(t, p, "suite-2")
	create(t, other, "other-1")
	foreign := create(t, open(t, url, func(o *ec2.Options) { o.Installation = "there" }), "suite-3")
	c.Retire("suite-2")
	var names []string
	until(t, "Servers tells the problem", func() error {
		all, err := p.Deployment().Servers(t.Context(), "")
		names = nil
		for _, s := range all {
			names = append(
				names,
				string(s.Instance)+" of "+s.Source+" in "+s.Deployment+" "+s.State+" "+map[bool]string{true: "retired"}[strings.Contains(s.Problem, "instance-retirement")],
			)
		}
		slices.Sort(names)
		if err == nil &&
			!slices.Equal(
				names,
				[]string{"other-1 of other in team running ", "suite-1 of suite in  running ", "suite-2 of suite in  running retired"},
			) {
			err = errors.New(strings.Join(names, ", "))
		}
		return err
	})
	team, err := p.Deployment().Servers(t.Context(), "team")
	if err != nil || len(team) != 1 || team[0].Instance != "other-1" || len(team[0].Addresses) == 0 || team[0].Type != "t3.micro" {
		t.Fatalf("those of the deployment: %+v, %v", team, err)
	}
	if err := p.Deployment().DestroyServer(t.Context(), foreign.ProviderID); !errors.Is(err, compute.ErrDenied) {
		t.Errorf("another installation's: %v", err)
	}
	left := c.AddVolume(map[string]string{"hostler:installation": "here", "hostler:source": "other", "hostler:instance": "other-1"})
	kept := c.AddVolume(map[string]string{"hostler:installation": "here", "hostler:source": "suite", "hostler:instance": "other-1"})
	for range 2 { // the second time it has ended
		if err := p.Deployment().DestroyServer(t.Context(), team[0].ID); err != nil {
			t.Errorf("DestroyServer: %v", err)
		}
	}
	if team, err := p.Deployment().Servers(t.Context(), "team"); err != nil || len(team) != 0 {
		t.Errorf("after it was destroyed: %+v, %v", team, err)
	}
	if now := strings.Join(things(c), "\n"); strings.Contains(now, left) || !strings.Contains(now, kept) ||
		!strings.Contains(now, "suite-3") {
		t.Errorf("there is %s; before there was %q", now, before)
	}
	if err := p.Deployment().DestroyServer(t.Context(), "i-0000000000000000"); err != nil {
		t.Errorf("one that never was: %v", err)
	}
	c.Fail("TerminateInstances", -1, ec2test.Fault{Status: 403, Code: "UnauthorizedOperation", Message: "You are not authorized."})
	all, err := p.Deployment().Servers(t.Context(), "")
	if err != nil || len(all) != 2 {
		t.Fatalf("all = %+v, err = %v; want no error and len(all) == 2", all, err)
	}
	if err := p.Deployment().DestroyServer(t.Context(), all[0].ID); !errors.Is(err, compute.ErrDenied) {
		t.Errorf("DestroyServer that may not: %v", err)
	}
}

// TestImageList has those of a prefix the newest first, and nobody's whose owner is not asked for.
func TestImageList(t *testing.T) {
	c, url := place(t, ec2test.Options{Page: 1})
	c.AddImage(ec2test.Image{ID: "ami-own", Name: "build"})
	p := open(t, url, nil)
	ids := func(prefix string) (out []string) {
		t.Helper()
		all, err := p.Images(t.Context(), prefix)
		if err != nil {
			t.Error(err)
		}
		for _, i := range all {
			if i.Size != 8<<30 || i.Created.IsZero() || i.Owner == "" {
				t.Errorf(`i = %+v; want i.Size == 8<<30 and !i.Created.IsZero() and i.Owner != ""`, i)
			}
			out = append(out, i.ID+" "+i.Arch)
		}
		return out
	}
	for prefix, want := range map[string][]string{
		"": {"ami-own amd64"}, "debian-12-": {"ami-arm arm64", "ami-newer amd64", "ami-debian amd64"},
		"debian-12-amd64-*": {"ami-newer amd64", "ami-debian amd64"}, "ami-arm": {"ami-arm arm64"},
	} {
		if got := ids(prefix); !slices.Equal(got, want) {
			t.Errorf("images %q: %q, want %q", prefix, got, want)
		}
	}
	if _, err := p.Images(t.Context(), "nosuch"); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("images of nobody: %v", err)
	}
}

// TestDeploymentDryRun says what would be made and changed, and does nothing, here either.
func TestDeploymentDryRun(t *testing.T) {
	c, url := place(t, ec2test.Options{})
	p := open(t, url, nil)
	want := deployment.Deployment{Name: "build", Ports: []string{"22"}, DryRun: true}
	before := things(c)
	_, told, err := deploy(t, p, want)
	if err != nil || !slices.Equal(told, []string{"would make key pair build", "would make security group build"}) {
		t.Errorf("at first: %q, %v", told, err)
	}
	if after := things(c); !slices.Equal(after, before) {
		t.Errorf("there is %q, and was %q", after, before)
	}
	want.DryRun = false
	if _, _, err := deploy(t, p, want); err != nil {
		t.Fatal(err)
	}
	rules := c.Rules("build")
	want.DryRun, want.Ports = true, []string{"80"}
	_, told, err = deploy(t, p, want)
	if err != nil || len(told) != 2 || !strings.HasPrefix(told[0], "would make security group rule tcp 80") ||
		!strings.HasPrefix(told[1], "would delete security group rule tcp 22") || !slices.Equal(c.Rules("build"), rules) {
		t.Errorf("where it is: %q, %v; it lets in %q", told, err, c.Rules("build"))
	}
	// From another directory, where the private half is not: no secret is made there.
	if _, _, err := deploy(t, open(t, url, nil), want); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("without the private half: %v", err)
	}
}
