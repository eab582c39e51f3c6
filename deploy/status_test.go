package deploy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/deploy"
)

func TestScriptStatus(t *testing.T) {
	for _, c := range []struct {
		statuses []int
		want     int
	}{
		{nil, 0}, {[]int{0, 0}, 0}, {[]int{1, 0, 2}, 3}, {[]int{256}, 9}, {[]int{128, 128}, 9}, {[]int{-1, 1}, 1},
		{[]int{4, 5}, 9}, {[]int{4, 6}, 9},
	} {
		if got := deploy.ScriptStatus(c.statuses); got != c.want {
			t.Errorf("ScriptStatus(%v) = %d, want %d", c.statuses, got, c.want)
		}
	}
}

func TestOldStatus(t *testing.T) {
	var v struct{ N int }
	syntax, typ := json.Unmarshal([]byte("{"), &v), json.Unmarshal([]byte(`{"n":"x"}`), &v)
	kind := func(k error) error { return fmt.Errorf("x: %w", &compute.Error{Kind: k, Err: errors.New("y")}) }
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {errors.New("x"), 11}, {kind(compute.ErrFailed), 11}, {kind(compute.ErrNoCapacity), 11},
		{fmt.Errorf("x: %w", syntax), 12}, {typ, 12},
		{kind(compute.ErrUnavailable), 13}, {&deploy.SetupError{Err: kind(compute.ErrFailed)}, 14},
		{&deploy.SetupError{Err: kind(compute.ErrLost)}, 14},
		{&deploy.SetupError{Err: kind(compute.ErrTimeout)}, 15}, {fmt.Errorf("f: %w", deploy.ErrUnreadable), 2},
		{fmt.Errorf("f: %w", deploy.ErrTests), 3},
		{kind(compute.ErrInvalid), 2},
	} {
		if got := deploy.OldStatus(c.err); got != c.want {
			t.Errorf("OldStatus(%v) = %d, want %d", c.err, got, c.want)
		}
	}
}

func TestAddresses(t *testing.T) {
	public, private := deploy.Addresses("", "10.0.0.1", "198.51.100.7", "fe80::1", "2001:db8::1", "host.example", "127.0.0.1")
	if !slices.Equal(public, []string{"198.51.100.7", "2001:db8::1", "host.example"}) ||
		!slices.Equal(private, []string{"10.0.0.1", "fe80::1", "127.0.0.1"}) {
		t.Errorf(
			"public = %v, private = %v"+
				`; want public == []string{"198.51.100.7", "2001:db8::1", "host.example"} and private == `+
				`[]string{"10.0.0.1", "fe80::1", "127.0.0.1"}`,
			public, private,
		)
	}
	data, err := json.Marshal(deploy.Description{PublicIP: public, PrivateIP: private})
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(data, &keys); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"id", "name", "state", "public_ip", "private_ip", "image_id", "image_name", "provider",
		"region", "size", "created_at", "ssh", "bundles",
		"scripts", "cost_per_hour", "lease"} {
		if _, ok := keys[k]; !ok {
			t.Errorf("the description has no %s", k)
		}
	}
}
