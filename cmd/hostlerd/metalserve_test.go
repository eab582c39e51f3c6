package main

import (
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/exclusive"
	"github.com/hostler-project/hostler/controller/imagecache"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/store/sqlite"
)

// lateScout says that there is one node, free, and one image.
const lateScout = `#!/bin/sh
read -r question
case $question in
*'"verb":"nodes"'*) echo '{"nodes": [{"id": "n1", "flavor": "io"}]}' ;;
*'"verb":"images"'*) echo '{"images": [{"id": "u1", "name": "ubuntu"}]}' ;;
*'"verb":"flavors"'*) echo '{"flavors": ["io"]}' ;;
*) echo '{}' ;;
esac
`

// TestMetalServed has a controller whose scout is not there yet: it says so by an alarm, a metric
// and a webhook, tries again, and keeps images ready when the scout has come. When it is to keep
// them ready no more another process may.
func TestMetalServed(t *testing.T) {
	r := &hookReceiver{t: t}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	o := newYard(t, map[string]string{"secret": hookSecret + "\n", "sources/web/source.conf": "type = fake\nreserve = 1\n"})
	bin := filepath.Join(o.Dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	o.vars = append(o.vars, "PATH="+bin+":"+os.Getenv("PATH"))
	conf := filepath.Join(o.Dir, ".config/hostler/hostler.conf")
	with := "[director.metal]\nscout = late\ndirective-spacing = 100ms\n[director.metal.strategy]\npercentage-to-cache = 0\n"
	rest := "[webhook pager]\nurl = " + srv.URL + "\nsecret = file:" + filepath.Join(o.Dir,
		".config/hostler/secret") + "\nevents = alarm*, quarantined, directive-failed\n"
	write := func(text string) {
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(rest)
	o.run("fill", "web") // so that there is something before the webhook begins
	k := o.Serve("--metrics", "127.0.0.1:0")
	open := "http://" + k.Said(`msg=metrics listen=([0-9.:]+)`)
	metric := func(line string) func() bool {
		return func() bool {
			_, _, text := get(t, open+"/metrics", "")
			return strings.Contains(text, line+"\n")
		}
	}
	waitFor(t, "the webhook begins", func() bool {
		return regexp.MustCompile(`"after": [1-9]`).MatchString(o.run("webhook", "list", "--json"))
	})
	write(rest + with)
	o.run("reload")
	waitFor(t, "the metric says that there is an alarm", metric(`hostler_metal_alarms{alarm="stopped"} 1`))
	told := func(kind string) func() bool {
		return func() bool {
			for _, e := range r.events() {
				if e.Kind == kind && e.Data["alarm"] == "stopped" && strings.Contains(e.Text, "hostler-scout-late") {
					return true
				}
			}
			return false
		}
	}
	waitFor(t, "the webhook is told", told("alarm"))
	if out := o.run("director", "explain"); !strings.Contains(out, "alarm: stopped since") || !strings.Contains(out, "hostler-scout-late") {
		t.Errorf("explain: %s", out)
	}
	if err := os.WriteFile(filepath.Join(bin, "hostler-scout-late"), []byte(lateScout), 0o700); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "it keeps images ready", metric(`hostler_metal_nodes{flavor="io",state="free"} 1`))
	waitFor(t, "that is told too", told("alarm-over"))
	if out := o.run("director", "explain"); strings.Contains(out, "alarm") {
		t.Errorf("explain afterwards: %s", out)
	}
	if out := o.Fail("director", "run", "--once"); !strings.Contains(out, "images are kept ready by another process") {
		t.Errorf("beside the controller: %s", out)
	}
	write(rest)
	o.run("reload")
	waitFor(t, "it lets go of the lock", func() bool {
		lock, err := host.LockAlone(filepath.Join(o.Dir, ".local/state/hostler", imagecache.Lock))
		if err != nil {
			t.Fatal(err)
		}
		if lock == nil {
			return false
		}
		_ = lock.Close()
		return true
	})
	waitFor(t, "nothing is measured of it", func() bool { return !metric(`hostler_metal_nodes{flavor="io",state="free"} 1`)() })
}

// TestMetalAlone has processes with state directories of their own on one store: one at a time
// keeps images ready, and the others are told.
func TestMetalAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	on := func() *cli.App {
		state := t.TempDir()
		t.Setenv("XDG_STATE_HOME", state)
		if err := os.Mkdir(filepath.Join(state, "hostler"), 0o700); err != nil {
			t.Fatal(err)
		}
		st, err := sqlite.Open(t.Context(), path, sqlite.Options{Unsafe: true})
		if err != nil {
			t.Fatal(err)
		}
		a := cli.NewApp(nil, io.Discard, io.Discard)
		a.Host = host.New(host.Options{OpenedStore: st})
		a.Host.OnClose(func() { _ = st.Close() })
		t.Cleanup(a.Host.Close)
		return a
	}
	first := on()
	if err := imagecache.RequireExclusive(first.Host, false); err != nil {
		t.Fatal(err)
	}
	second := on()
	if err := imagecache.RequireExclusive(second.Host, false); !errors.Is(err, compute.ErrConflict) || !strings.Contains(err.Error(),
		"another state directory") {
		t.Errorf("beside it: %v", err)
	}
	if err := imagecache.RequireExclusive(second.Host, true); err != nil {
		t.Errorf("a dry run: %v", err)
	}
	var log strings.Builder
	third := on()
	heard := slog.New(slog.NewTextHandler(&log, nil))
	mine := &exclusive.Task{Row: exclusive.ImageCache}
	ours := (&imagecache.Loop{Log: heard, Host: third.Host, Leads: func() bool { return true }}).Turn(mine)
	for range 2 {
		if ours() {
			t.Error("a controller has its turn beside it")
		}
	}
	if strings.Count(log.String(), "another process on this store") != 1 {
		t.Errorf("a controller beside it: %s", &log)
	}
	first.Host.Close()
	waitFor(t, "the controller has its turn", ours)
	mine.Release()
	if err := imagecache.RequireExclusive(second.Host, false); err != nil {
		t.Errorf("after them: %v", err)
	}
}
