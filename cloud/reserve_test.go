package cloud_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/cloud"
	"github.com/hostler-project/hostler/provider/flavor"
)

// TestReservedByAnother: what a process asks for is reserved in all, until the cloud has answered,
// or the process died.
func TestReservedByAnother(t *testing.T) {
	s, file := newSky(), state(t)
	s.quota = cloud.Quota{Max: flavor.Resources{Cores: 12, Volume: 100}}
	s.options.CreateTime = time.Minute
	synctest.Test(t, func(t *testing.T) {
		one, two := start(t, s, file, nil), start(t, s, file, nil)
		defer two.stop(t)
		must(one.Deploy(t.Context(), cloud.DeployConfig{}))(t)
		left := func(p process, disk, want int) {
			t.Helper()
			if n, _, err := p.Spawnable(t.Context(), s.flavors[1], disk); err != nil || n != want {
				t.Errorf("there can be %d more, %v, want %d", n, err, want)
			}
		}
		left(two, 0, 3)
		done := make(chan error, 1)
		go func() {
			_, err := one.Spawn(t.Context(), cloud.Order{OS: "img", Flavor: "large", Disk: 60})
			done <- err
		}()
		time.Sleep(30 * time.Second) // it is being asked for
		left(one, 0, 2)
		left(two, 0, 2)
		left(two, 60, 0) // and so is its volume
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		left(two, 60, 1) // the cloud of this test counts nothing: it has been answered

		go func() {
			_, err := one.Spawn(t.Context(), cloud.Order{OS: "img", Flavor: "large"})
			done <- err
		}()
		time.Sleep(30 * time.Second)
		left(two, 0, 2)
		one.store.Close() // the process dies
		left(two, 0, 3)
		if err := <-done; err == nil {
			t.Error("a process that lost its store goes on")
		}
	})
}
