package flavor_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/provider/flavor"
)

func TestSpawnable(t *testing.T) {
	four := flavor.Flavor{Name: "four", Cores: 4, RAM: 8000, Disk: 20}
	worked := flavor.Quota{
		Max:  flavor.Resources{Cores: 20, RAM: 64000, Instances: 10},
		Used: flavor.Resources{Cores: 8, RAM: 24000, Instances: 3},
	}
	reserved := flavor.Resources{Cores: 4, RAM: 8000, Instances: 1}
	for _, c := range []struct {
		name     string
		quota    flavor.Quota
		reserved flavor.Resources
		disk     int
		limit    int
		want     int
		why      []string
	}{
		{"worked example", worked, reserved, 0, flavor.Unlimited, 2, nil},
		{"nothing reserved", worked, flavor.Resources{}, 0, flavor.Unlimited, 3, nil},
		{"own limit", worked, reserved, 0, 1, 1, nil},
		{"own limit reached", worked, reserved, 0, 0, 0, []string{"maximum number of servers"}},
		{"no limit at all", flavor.Quota{}, reserved, 100, flavor.Unlimited, 1 << 30, nil},
		{
			"said as less than nothing",
			flavor.Quota{Max: flavor.Resources{Cores: -1, RAM: -1, Instances: -1, Volume: -1}}, reserved, 100,
			flavor.Unlimited, 1 << 30, nil,
		},
		{
			"volumes", flavor.Quota{Max: flavor.Resources{Volume: 100}, Used: flavor.Resources{Volume: 25}},
			flavor.Resources{}, 30, flavor.Unlimited, 2, nil,
		},
		{"disk of the flavor", flavor.Quota{Max: flavor.Resources{Volume: 1}}, flavor.Resources{}, 20, flavor.Unlimited, 1 << 30, nil},
		{"volumes used up",
			flavor.Quota{Max: flavor.Resources{Volume: 100, Cores: 2}, Used: flavor.Resources{Volume: 90, Cores: 1}},
			flavor.Resources{}, 30, flavor.Unlimited, 0,
			[]string{"cores: 4 needed, 1 left of 2, so it can never fit", "volumes: 30 GiB needed, 10 GiB left of 100 GiB"}},
		{
			"over the quota", flavor.Quota{Max: flavor.Resources{Instances: 2}, Used: flavor.Resources{Instances: 5}},
			flavor.Resources{}, 0, flavor.Unlimited, 0, []string{"instances: 1 needed, 0 left of 2"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, why := c.quota.Spawnable(four, c.disk, c.reserved, c.limit)
			if n != c.want || (why != "") != (c.want == 0) {
				t.Errorf("%d, %q, want %d", n, why, c.want)
			}
			for _, part := range c.why {
				if !strings.Contains(why, part) {
					t.Errorf("%q lacks %q", why, part)
				}
			}
		})
	}
	full := worked
	full.Used.Cores = 20
	if ok, why := full.Possible(four, 0); !ok {
		t.Errorf("what others use now counts: %s", why)
	}
	full.Max.RAM = 7999
	if ok, why := full.Possible(four, 0); ok || !strings.Contains(why, "can never fit") {
		t.Errorf("more than the maximum is possible: %q", why)
	}
}

func TestMemory(t *testing.T) {
	var m flavor.Memory
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a, b := flavor.Flavor{ID: "a"}, flavor.Flavor{ID: "b"}
	choose := func() ([]flavor.Flavor, error) { return []flavor.Flavor{{}, a, b}, nil }
	pick := func(want string) {
		t.Helper()
		if f, ok, err := m.Pick("kind", now, choose); !ok || err != nil || f.ID != want {
			t.Errorf("%q, %v, %v, want %q", f.ID, ok, err, want)
		}
	}
	pick("a")
	m.Fail("a", now)
	pick("b") // at once: a pick that failed is not held
	m.Fail("b", now)
	pick("a") // all failed
	m.Succeed("b")
	now = now.Add(flavor.ForgetPick - 1)
	pick("a") // held
	now = now.Add(1)
	pick("b")
	now = now.Add(flavor.ForgetFailed - flavor.ForgetPick - 1)
	if !m.HasFailed("a", now) || m.HasFailed("a", now.Add(1)) {
		t.Error("a failure is not remembered for 15 minutes")
	}
	now = now.Add(1)
	pick("a")

	if _, ok, err := m.Pick("other", now, func() ([]flavor.Flavor, error) { return []flavor.Flavor{{}}, nil }); ok || err != nil {
		t.Errorf("nothing to pick: %v, %v", ok, err)
	}
	broken := errors.New("broken")
	if _, ok, err := m.Pick("other", now, func() ([]flavor.Flavor, error) { return nil, broken }); ok || err != broken {
		t.Errorf("ok = %v, err = %v; want !ok and err == broken", ok, err)
	}
	short := flavor.Memory{Failed: time.Second, Picked: time.Second}
	short.Fail("a", now)
	if short.HasFailed("a", now.Add(time.Second)) {
		t.Error("the time it was given does not count")
	}
}
