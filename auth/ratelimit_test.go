package auth_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
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
				served := false
				if l.Known(p, func(x auth.Excess) { wait = x.Wait }, func() { served = true }); !served {
					return n, wait
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
				served := false
				l.Unknown(from(address), "", func(auth.Excess) {}, func() (failed bool) { served = true; return true })
				if !served {
					return n
				}
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
			l.Unknown(from(fmt.Sprintf("2001:db8:%x::1", i)), "", func(auth.Excess) {}, func() (failed bool) { return true })
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
	enter := func(p auth.Principal, during func()) (ok bool) {
		l.Known(p, func(auth.Excess) {}, func() { ok = true; during() })
		return ok
	}
	nothing := func() {}
	if !enter(ann, func() {
		if !enter(ann, func() {
			if enter(ann, nothing) {
				t.Error("a third")
			}
			if !enter(bob, nothing) {
				t.Error("another does not wait for her")
			}
		}) {
			t.Error("a second is not served")
		}
		if !enter(ann, nothing) {
			t.Error("none is served in the room of one that has ended")
		}
	}) {
		t.Error("none is served")
	}
	var nested func(n int)
	nested = func(n int) {
		if n > 0 && !enter(own, func() { nested(n - 1) }) {
			t.Error("the controller's own user")
		}
	}
	nested(10)
}

// TestAllAtOnce: of what all callers have in progress one has half at most.
func TestAllAtOnce(t *testing.T) {
	l := auth.NewLimits(auth.LimitOptions{AtOnce: -1, All: 8})
	var enter func(name string, most int) int
	enter = func(name string, most int) (n int) {
		if most > 0 {
			l.Known(auth.Principal{Name: name}, func(auth.Excess) {}, func() { n = 1 + enter(name, most-1) })
		}
		return n
	}
	if n := enter("ann", 100); n != 4 {
		t.Errorf("got %d requests of ann, want 4 of 8", n)
	}
	if n := enter("ann", 100); n != 4 {
		t.Errorf("got %d requests of ann after those, want 4 of 8", n)
	}
}

// TestScopes: who has a token for a lease alone does not shut its owner out, nor those who have
// other such tokens.
func TestScopes(t *testing.T) {
	l := auth.NewLimits(auth.LimitOptions{Requests: 0.01, RequestBurst: 20, AtOnce: 4})
	ann := auth.Principal{Name: "ann"}
	guest, other := auth.Principal{Name: "ann", Lease: "l1"}, auth.Principal{Name: "ann", Lease: "l2"}
	count := func(p auth.Principal) (n int) {
		for served := true; served && n < 100; {
			served = false
			l.Known(p, func(auth.Excess) {}, func() { served = true })
			if served {
				n++
			}
		}
		return n
	}
	if g, o, a := count(guest), count(other), count(ann); g != 10 || o != 10 || a != 20 {
		t.Errorf("got %d requests of a guest, %d of another and %d of the owner, want 10, 10 and 20", g, o, a)
	}
	l = auth.NewLimits(auth.LimitOptions{AtOnce: 4})
	inside := 0
	l.Known(guest, func(auth.Excess) {}, func() {
		l.Known(guest, func(auth.Excess) {}, func() {
			l.Known(guest, func(auth.Excess) { inside++ }, func() {})
			l.Known(other, func(auth.Excess) {}, func() { inside++ })
			l.Known(ann, func(auth.Excess) {}, func() { inside++ })
		})
	})
	if inside != 3 {
		t.Errorf("got %d of 3, want a third request of a guest refused, and those of others served", inside)
	}
}

// from is a request from an address; "": by the socket.
func from(address string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if r.RemoteAddr = "@"; address != "" {
		r.RemoteAddr = net.JoinHostPort(address, "1234")
	}
	return r
}

// TestUnknown: only failures count, and a refused request is not served.
func TestUnknown(t *testing.T) {
	l := auth.NewLimits(auth.LimitOptions{Failures: 0.01, FailureBurst: 1})
	refused := 0
	ask := func(fails bool) (served bool) {
		l.Unknown(from("192.0.2.1"), "", func(x auth.Excess) {
			if refused++; x.Seconds() != "100" {
				t.Errorf("got %s seconds to wait, want 100", x.Seconds())
			}
		}, func() bool { served = true; return fails })
		return served
	}
	first, second, third, fourth := ask(false), ask(false), ask(true), ask(false)
	if !first || !second || !third || fourth || refused != 1 {
		t.Errorf("refused %d, want what follows the failure alone", refused)
	}
}

// TestRequestLog: what was not done is left out when there is too much of it, and counted; what was
// done never is. One caller's entries, and those of what is only wrong, hide no other's denial.
func TestRequestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []auth.AuditEntry
		l := auth.NewRequestLog(func(a auth.AuditEntry) { got = append(got, a) })
		for range 300 {
			l.Add(auth.AuditEntry{Who: "ann", Outcome: "denied"}, false)
			l.Add(auth.AuditEntry{Outcome: "denied"}, false)
			l.Add(auth.AuditEntry{Who: "ann", Outcome: "not-found"}, false)
		}
		if len(got) != 150 {
			t.Errorf("got %d entries of refusals, want 50 of each sort", len(got))
		}
		l.Add(auth.AuditEntry{Who: "bob", Outcome: "denied"}, false)
		if last := got[len(got)-1]; last.Who != "bob" || last.Missed != 750 {
			t.Errorf("got last %v, want that of another, with 750 left out before", last)
		}
		if l.Add(auth.AuditEntry{Who: "ann", Outcome: "failed"}, true); len(got) != 152 || got[151].Missed != 0 {
			t.Errorf("got %d entries, want also that of a change", len(got))
		}
		for i := range 1000 { // together they have no more than all may
			l.Add(auth.AuditEntry{Who: fmt.Sprint(i), Outcome: "invalid"}, false)
		}
		if len(got) != 302 {
			t.Errorf("got %d entries, want 150 more of many callers", len(got))
		}
		time.Sleep(time.Second)
		l.Add(auth.AuditEntry{Who: "ann", Outcome: "denied"}, false)
		missed := 0
		for _, a := range got {
			missed += a.Missed
		}
		if len(got) != 303 || missed != 750+850 {
			t.Errorf("got %d entries, and %d were left out; want 303 and 1600", len(got), missed)
		}
	})
}
