package main

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/store/postgres/pgtest"
)

// TestFleetWebhooks: of several controllers on a database the one that directs delivers; another
// goes on where it ended when it is killed, and when it is paused. Nothing is lost, and nothing is
// told the first time out of order.
func TestFleetWebhooks(t *testing.T) {
	r := &hookReceiver{t: t}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	server := pgtest.Start(t)
	m := newMachine(t)
	m.onDatabase(server.Database(t))
	m.source("web", "type = fake\nmaximum = 3\n")
	m.env = append(m.env, "HOSTLER_TEST_SECRET="+hookSecret)
	m.conf(
		"[store]\nurl = env:HOSTLER_TEST_DATABASE\n[webhook hook]\nurl = " + srv.URL + "\nsecret = env:HOSTLER_TEST_SECRET\nevents = leased, released\n",
	)
	m.must("acquire", "-s", "web") // before the hook begins
	m.must("release", "web-1")
	f := newFleet(t, m, 3)
	soon(t, "one directs", func() bool { return len(f.directors()) == 1 })
	first := f.directors()[0]
	uses := 0
	use := func(s *ship) {
		for range 5 {
			s.release(s.must("web"))
			uses++
		}
	}
	soon(t, "the hook begins", func() bool {
		_, text, err := f.all[0].ask(t.Context(), http.MethodGet, "/v1/webhooks", "", "")
		return err == nil && regexp.MustCompile(`"after":[1-9]`).Match(text)
	})
	told := func() bool { return count(r.events()) == 2*uses }
	use(f.all[0])
	soon(t, "what happens is told", told)
	first.kill()
	other := func(not *ship) *ship {
		var found *ship
		soon(t, "another directs", func() bool {
			for _, s := range f.directors() {
				if s != not {
					found = s
				}
			}
			return found != nil
		})
		return found
	}
	second := other(first)
	use(second)
	soon(t, "it goes on", told)
	second.signal(syscall.SIGSTOP)
	for _, s := range f.all {
		if s != first && s != second {
			use(s)
			soon(t, "the third goes on while the second is paused", told)
		}
	}
	second.signal(syscall.SIGCONT)
	soon(t, "one directs", func() bool { return len(f.directors()) >= 1 && !second.directs() })
	use(second)
	soon(t, "and delivers", told)
}
