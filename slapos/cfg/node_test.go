package cfg_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hostler-project/hostler/slapos/cfg"
)

// TestNode reads what a node's file says, and takes what it does not say as the reference does.
func TestNode(t *testing.T) {
	n, err := parse(t, `[slapos]
computer_id = COMP-1
master_url = https://slap.example/
software_root = /opt/slapgrid
instance_root = /srv/slapgrid
`).Node()
	if err != nil {
		t.Fatal(err)
	}
	want := &cfg.NodeConfig{Computer: "COMP-1", Master: "https://slap.example/", SoftwareRoot: "/opt/slapgrid",
		InstanceRoot: "/srv/slapgrid", RootCheck: true, RestartServices: true,
		PromiseTimeout: 20 * time.Second, Periodicity: 24 * time.Hour, SoftwareFree: 1000 << 20, InstanceFree: 1000 << 20, CollectDays: 15}
	if d := cmp.Diff(want, n, cmpopts.EquateEmpty()); d != "" || n.Missing() != "" {
		t.Errorf(`d = %v, n.Missing() = %v; want d == "" and n.Missing() == ""`, d, n.Missing())
	}
	n, err = parse(t, `[slapos]
partition-timeout = 3600
promise_timeout = 1.5
maximum_periodicity = -1
software_min_free_space = 2G
instance_min_free_space = 500 mb
shared_part_list =
  /opt/shared
  /opt/mine
manager_list = prerm
  portredir
root_check = FALSE
force_stop = true
certificate_repository_path = /etc/pki
`).Node()
	if err != nil {
		t.Fatal(err)
	}
	want = &cfg.NodeConfig{PartitionTimeout: time.Hour, PromiseTimeout: 1500 * time.Millisecond, Periodicity: -time.Second,
		SoftwareFree: 2 << 30, InstanceFree: 500 << 20, CollectDays: 15,
		SharedParts: []string{"/opt/shared", "/opt/mine"}, Managers: []string{"prerm", "portredir"}, ForceStop: true,
		RestartServices: true, Certificates: "/etc/pki"}
	if d := cmp.Diff(want, n, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	if got := n.Missing(); got != "the section [slapos] lacks computer_id, instance_root, master_url, software_root" {
		t.Error(got)
	}
}

// TestNodeWrong names file, line and key of a bad value.
func TestNodeWrong(t *testing.T) {
	for text, want := range map[string]string{
		"promise_timeout = soon":            "a.cfg, line 2: promise_timeout in [slapos] is no number",
		"partition_timeout = -1":            "partition_timeout in [slapos] is no number that can be meant",
		"maximum_periodicity = nan":         "maximum_periodicity in [slapos] is no number",
		"software_min_free_space = plenty":  "software_min_free_space in [slapos] is no size",
		"software_min_free_space = G":       "is no size",
		"software_min_free_space = -5M":     "is no size",
		"root_check = perhaps":              "root_check in [slapos] is neither true nor false",
		"instance_min_free_space = 1e300 T": "is no size",
	} {
		_, err := parse(t, "[slapos]\n"+text+"\n").Node()
		var wrong *cfg.Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: err = %v; want errors.As(err, &wrong) and err.Error() with want", text, err)
		}
	}
}
