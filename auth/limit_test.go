package auth_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/auth"
)

// TestLimits: who asks too often has to wait, and nobody else; who may wait is told how long, and
// then may again. The controller's own user never waits.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := auth.NewLimits(auth.LimitOptions{Requests: 10, RequestBurst: 20, Failures: 1, FailureBurst: 3, Remember: 100})
		ann, bob, own := auth.Principal{Name: "ann"}, auth.Principal{Name: "bob"}, auth.Principal{Name: "root", Own: true}
		may := func(p auth.Principal) (n int, wait time.Duration) {
			for n = range 1000 {
				w, ok := l.Request(p)
				if !ok {
					return n, w
				}
			}
			return 1000, 0
		}
		if n, wait := may(ann); n != 20 || wait != 100*time.Millisecond {
			t.Errorf("ann may %d, and wait %v", n, wait)
		}
		if n, _ := may(bob); n != 20 {
			t.Errorf("bob may %d", n)
		}
		if n, _ := may(own); n != 1000 {
			t.Errorf("the controller's own user may %d", n)
		}
		time.Sleep(100 * time.Millisecond)
		if n, _ := may(ann); n != 1 {
			t.Errorf("after her wait ann may %d", n)
		}
		fail := func(address string) (n int) {
			for n = range 100 {
				if _, ok := l.Stranger(address); !ok {
					return n
				}
				l.Failed(address)
			}
			return 100
		}
		if n := fail("192.0.2.1"); n != 3 {
			t.Errorf("%d failures", n)
		}
		if n := fail(""); n != 100 {
			t.Errorf("%d failures by the socket", n)
		}
		for i := range 10000 { // strangers do not push out who has failed
			l.Failed(fmt.Sprintf("2001:db8:%x::1", i))
		}
		if n := fail("192.0.2.2"); n != 3 {
			t.Errorf("%d failures of another", n)
		}
		if n := fail("2001:db8:ffff:1::1") + fail("2001:db8:ffff:1::2"); n != 3 {
			t.Errorf("%d failures of a network", n)
		}
		time.Sleep(time.Second)
		if n := fail("192.0.2.2"); n != 1 {
			t.Errorf("%d failures after a wait", n)
		}
		free := auth.NewLimits(auth.LimitOptions{Requests: -1, Failures: -1})
		l = free
		if n, _ := may(ann); n != 1000 || fail("192.0.2.1") != 100 {
			t.Error("limited, where nothing is limited")
		}
	})
}

// TestAtOnce: how much of one user's is served at once is bounded, and what has ended makes room.
func TestAtOnce(t *testing.T) {
	l := auth.NewLimits(auth.LimitOptions{AtOnce: 2})
	ann, bob, own := auth.Principal{Name: "ann"}, auth.Principal{Name: "bob"}, auth.Principal{Name: "root", Own: true}
	leave, ok := l.Enter(ann)
	if _, second := l.Enter(ann); !ok || !second {
		t.Fatal("two may")
	}
	if _, ok := l.Enter(ann); ok {
		t.Error("a third")
	}
	if _, ok := l.Enter(bob); !ok {
		t.Error("another does not wait for her")
	}
	for range 10 {
		if _, ok := l.Enter(own); !ok {
			t.Error("the controller's own user")
		}
	}
	leave()
	if _, ok := l.Enter(ann); !ok {
		t.Error("when one has ended")
	}
}
