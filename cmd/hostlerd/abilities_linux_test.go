package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/chroot"
	"github.com/hostler-project/hostler/provider/container"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/provider/ironic"
	"github.com/hostler-project/hostler/provider/kubernetes"
	"github.com/hostler-project/hostler/provider/local"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/sandbox"
	"github.com/hostler-project/hostler/provider/sshhost"
	"github.com/hostler-project/hostler/provider/vm"
)

// TestAbilities: each kind has the abilities that its provider is to have. They are found by the
// names of methods, so one that is misspelt would be missed by nobody else.
func TestAbilities(t *testing.T) {
	for kind, test := range map[string]struct {
		p    compute.Provider
		want string
	}{
		"chroot": {&chroot.Provider{}, "Cleaner Prober Snapshots.Snapshotter"},
		"container": {
			&container.Provider{},
			"Cleaner Consoler Prober Health.Checker Choice.Chooser Snapshots.Snapshotter Snapshots.Tag CreateLag",
		},
		"ec2": {
			opened{&ec2.Provider{}},
			"Consoler Prober Stopper Health.Checker Choice.Chooser Choice.UserData Choice.Prices Snapshots.Snapshotter CreateLag",
		},
		"fake":   {&fake.Provider{}, "Cleaner Stopper Health.Checker Health.Cache Choice.Chooser Choice.UserData"},
		"ironic": {&ironic.Provider{}, "Consoler Stopper Health.Checker Choice.Chooser Choice.UserData CreateLag"},
		"kubernetes": {
			&kubernetes.Provider{},
			"Consoler Prober Health.Checker Health.Cache Health.Watch Health.Notify Choice.Chooser " +
				"Identity.Of Identity.Leads Identity.Same Prewarm.Reserves Prewarm.Reserve Template CreateLag",
		},
		"local": {&local.Provider{}, "Static Cleaner"},
		"openstack": {
			&openstack.Provider{},
			"Cleaner Consoler Prober Stopper Health.Checker Choice.Chooser Choice.UserData Snapshots.Snapshotter CreateLag",
		},
		"sandbox": {&sandbox.Provider{}, "Cleaner Prober Health.Checker Choice.Chooser Snapshots.Snapshotter"},
		"ssh":     {&sshhost.Provider{}, "Static Cleaner"},
		"vm":      {&vm.Provider{}, "Cleaner Consoler Prober Stopper Health.Checker Choice.Chooser Snapshots.Snapshotter"},
	} {
		var got []string
		abilities(reflect.ValueOf(provider.Of(test.p)), "", &got)
		if diff := cmp.Diff(strings.Fields(test.want), got); diff != "" {
			t.Errorf("%s has other abilities (-want +got):\n%s", kind, diff)
		}
	}
}

// opened is an ec2 provider that was opened, as some is asked for at once.
type opened struct{ *ec2.Provider }

func (opened) Prices() bool { return true }

func (opened) CreateLag() time.Duration { return time.Second }

var _ interface {
	Prices() bool
	CreateLag() time.Duration
} = (*ec2.Provider)(nil)

// abilities lists the fields that are set, those of groups by GROUP.NAME.
func abilities(v reflect.Value, group string, names *[]string) {
	for i := range v.NumField() {
		name := group + v.Type().Field(i).Name
		switch f := v.Field(i); {
		case f.Kind() == reflect.Struct:
			abilities(f, name+".", names)
		case !f.IsZero():
			*names = append(*names, name)
		}
	}
}
