package ironic_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/hostler-project/hostler/provider/ironic"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/credentials"
)

// stepwise is the way that takes the most steps.
var stepwise = ironic.FlavorRule{
	Name: "any", Way: ironic.Clean,
	Steps: []ironic.Step{{Interface: "deploy", Step: "write", Args: map[string]any{"image": "{image}"}}},
}

// TestFinish looks at each node once, however little time there is, and waits until it is done
// where there is time.
func TestFinish(t *testing.T) {
	s := newStandin(t)
	s.slow = true
	id := s.add(1, nil)
	c := commander(t, s, stepwise)
	if left := c.Finish(t.Context(), time.Hour); len(left) > 0 {
		t.Errorf("before anything is begun %v is left", left)
	}
	do(t, c.Cache(t.Context(), id, img))
	if left := c.Finish(t.Context(), 0); !slices.Equal(left, []string{id}) {
		t.Errorf("in no time: left %v", left)
	}
	if calls := s.called(); !slices.Contains(calls, "PUT node-1 clean") {
		t.Errorf("in no time nothing was taken further: %v", calls)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if left := c.Finish(gone, time.Hour); !slices.Equal(left, []string{id}) {
		t.Errorf("interrupted: left %v", left)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				s.finish()
			}
		}
	}()
	left := c.Finish(t.Context(), time.Minute)
	close(stop)
	<-stopped
	if len(left) > 0 || s.get(id, "extra", "hostler", "state") != "cached" {
		t.Errorf("after it was done: left %v, %v", left, s.get(id, "extra"))
	}
}

// mortalURL has a process of this test be the one that is killed.
const mortalURL = "HOSTLER_TEST_STANDIN"

// TestMortal is that process.
func TestMortal(t *testing.T) {
	url := os.Getenv(mortalURL)
	if url == "" {
		t.Skip("a part of TestFinishKilled")
	}
	o, err := openstack.NewSession(credentials.Credentials{From: "a test", Auth: gophercloud.AuthOptions{
		IdentityEndpoint: url + "/v3", Username: "u", Password: "p", DomainID: "default", AllowReauth: true,
		Scope: &gophercloud.AuthScope{ProjectID: "p1"},
	}}, openstack.SessionOptions{Rate: 1e6, Backoff: time.Millisecond, Timeout: time.Minute})
	do(t, err)
	c, err := ironic.NewCommander(ironic.CommanderOptions{
		Session: o, Installation: "inst", Flavors: []ironic.FlavorRule{stepwise}, Poll: 5 * time.Millisecond,
	})
	do(t, err)
	do(t, c.Cache(t.Context(), uuid(1), img))
	if left := c.Finish(t.Context(), time.Minute); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// TestFinishKilled kills a process at each request by which it changes something, before the
// request is served and after it was, at each step of writing an image. Who resumes brings it to
// its end, and has the cleaning done once.
func TestFinishKilled(t *testing.T) {
	for at, killed := 1, true; killed; at++ {
		if at > 30 {
			t.Fatal("it does not come to an end")
		}
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			s := newStandin(t)
			id := s.add(1, nil)
			killed = killAt(t, s, at)
			c := commander(t, s, stepwise)
			do(t, c.Resume(t.Context()))
			do(t, c.Cache(t.Context(), id, img)) // the one command that nobody knows the answer of
			if left := c.Finish(t.Context(), time.Minute); len(left) > 0 {
				t.Fatalf("left %v: %v", left, s.called())
			}
			if mark := s.get(id, "extra", "hostler", "state"); mark != "cached" ||
				s.get(id, "provision_state") != "available" || s.get(id, "instance_uuid") != nil {
				t.Errorf("the node is %v, %v, %v", mark, s.get(id, "provision_state"), s.get(id, "instance_uuid"))
			}
			var verbs []string
			for _, call := range s.called() {
				if strings.HasPrefix(call, "PUT ") {
					verbs = append(verbs, call)
				}
			}
			if want := []string{"PUT node-1 manage", "PUT node-1 clean", "PUT node-1 provide"}; !slices.Equal(verbs, want) {
				t.Errorf("it was told %v, want %v", verbs, want)
			}
		})
	}
}

// killAt runs the process, and kills it at the moment of that number: its changes, and its requests
// that come after one. It reports whether it was killed before it was done.
func killAt(t *testing.T, s *standin, at int) bool {
	t.Helper()
	self, err := os.Executable()
	do(t, err)
	cmd := exec.Command(self, "-test.run=^TestMortal$")
	cmd.Env = append(os.Environ(), mortalURL+"="+s.URL)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	var mu sync.Mutex
	moment, changed, dead := 0, false, false
	s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if dead {
			return true
		}
		change := r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "/tokens")
		if change || changed {
			moment++
		}
		changed = change
		if moment == at && (change || r.Method == http.MethodGet) {
			dead = true
			_ = cmd.Process.Kill()
			return true
		}
		return false
	})
	mu.Lock() // nobody kills what has not begun
	err = cmd.Start()
	mu.Unlock()
	do(t, err)
	err = cmd.Wait()
	s.intercept(nil)
	mu.Lock()
	defer mu.Unlock()
	if !dead && err != nil {
		t.Fatalf("it ended by itself: %v\n%s", err, said.String())
	}
	return dead
}
