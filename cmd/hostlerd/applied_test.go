package main

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store/postgres/pgtest"
)

// putSource is a source that is all there is to apply.
func putSource(text string, files ...api.ThingFile) api.PutThing {
	return api.PutThing{Labels: map[string]string{"app": "ci"}, Files: append([]api.ThingFile{{Path: "source.conf", Text: text}}, files...)}
}

// TestAppliedFromAfar: over HTTP each thing by itself, by its revision; and nothing that would run
// on the controller's machine, unless its hostler.conf says so.
func TestAppliedFromAfar(t *testing.T) {
	o := newYard(
		t,
		map[string]string{
			"hostler.conf": "", "sources/here/source.conf": "type = local\nbundles = tool\n",
			"sources/mine/source.conf": "type = fake\n",
		},
	)
	conf, secrets := filepath.Join(o.Dir, ".config/hostler/hostler.conf"), filepath.Join(o.Dir, "secrets")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("[apply]\nsecrets = " + secrets + "\n")
	k := o.Serve("--listen", "127.0.0.1:0")
	url := "http://" + k.Said(`serving listen=.*tcp:([0-9.:]+)`)
	token, err := os.ReadFile(filepath.Join(o.Dir, ".local/state/hostler/controller.token"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Options{URL: url, Token: strings.TrimSpace(string(token)), Reason: "a test"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()

	one, err := c.Applied().Put(ctx, "source", "web", putSource("type = fake\n"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Applied().Get(ctx, "source", "web"); err != nil || !reflect.DeepEqual(got, one) {
		t.Errorf("what was put comes back as %+v, %v; it was %+v", got, err, one)
	}
	if again, err := c.Applied().Put(
		ctx, "source", "web", putSource("type = fake\n"), one.Revision,
	); err != nil || !reflect.DeepEqual(again, one) {
		t.Errorf("put again: %+v %v", again, err)
	}
	if all, err := c.Applied().List(ctx, map[string]string{"app": "ci"}); err != nil || len(all.Things) != 1 || all.Revision != 1 {
		t.Errorf("the list is %+v, %v", all, err)
	}
	if none, err := c.Applied().List(ctx, map[string]string{"app": "other"}); err != nil || len(none.Things) != 0 {
		t.Errorf("the list by another label is %+v, %v", none, err)
	}
	status, header, _ := get(t, url+"/v1/applied/source/web", strings.TrimSpace(string(token)))
	if status != http.StatusOK || header.Get("ETag") != `"1"` {
		t.Errorf("status %d, ETag %s", status, header.Get("ETag"))
	}
	refused := func(what string, err, kind error, words string) {
		t.Helper()
		if !errors.Is(err, kind) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %v with %q", what, err, kind, words)
		}
	}
	_, err = c.Applied().Put(ctx, "source", "web", putSource("type = fake\nspare = 1\n"), 7)
	refused("another revision", err, compute.ErrStale, "it is at revision 1")
	_, err = c.Applied().Put(ctx, "source", "mine", putSource("type = fake\n"), 0)
	refused("in a file", err, compute.ErrConflict, "it is defined in ")
	refused("nothing", c.Applied().Delete(ctx, "source", "none", 0), compute.ErrNotFound, "none")
	_, err = c.Applied().Put(ctx, "source", "..", putSource("type = fake\n"), 0)
	if err == nil {
		t.Error("a source is called ..")
	}

	hook := api.ThingFile{Path: "provision.d/x", Mode: "0755", Text: "#!/bin/sh\ntouch " + o.Dir + "/ran\n"}
	tool := api.PutThing{Files: []api.ThingFile{{Path: "bundle.conf"}}}
	for what, put := range map[string]api.PutThing{
		"a hook": putSource("type = fake\n", hook), "this machine": putSource("type = local\n"),
		"commands there": putSource("type = fake\n[fake]\nrun = exec\n"),
		"a pool over it": putSource("type = pool\nsources = local\n"), "its root": putSource("type = sandbox\n"),
		// whether it is there he is not told
		"a template": putSource("type = kubernetes\n[kubernetes]\ntemplate = /no/such/file\n"),
		"a command":  putSource("type = fake\nimage = command:id\n"), "a file": putSource("type = fake\nimage = file:/etc/shadow\n"),
	} {
		_, err := c.Applied().Put(ctx, "source", "odd", put, 0)
		refused(what, err, compute.ErrDenied, "controller")
	}
	_, err = c.Applied().Put(ctx, "bundle", "tool", tool, 0)
	refused("a bundle for this machine", err, compute.ErrDenied, "the source here")
	if _, err := c.Applied().Put(ctx, "source", "odd", putSource("type = fake\nimage = file:"+secrets+"/a\n"), 0); err != nil {
		t.Errorf("a secret that may be: %v", err)
	}
	if out := o.run("source", "list"); strings.Contains(out, "ran") || !strings.Contains(out, "odd") {
		t.Error(out)
	}

	// The controller's own user may, by the socket; what he applied may be seen and taken away from
	// afar, and applied again as it is.
	dir := filepath.Join(o.Dir, "set/sources/hooked")
	if err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "provision.d"), 0o700),
		os.WriteFile(filepath.Join(dir, "source.conf"), []byte("type = fake\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "provision.d/x"), []byte(hook.Text), 0o700),
	); err != nil {
		t.Fatal(err)
	}
	o.run("apply", "-f", filepath.Join(o.Dir, "set"))
	o.run("acquire", "-s", "hooked")
	if _, err := os.Stat(filepath.Join(o.Dir, "ran")); err != nil {
		t.Errorf("his hook did not run: %v", err)
	}
	hooked, err := c.Applied().Get(ctx, "source", "hooked")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Applied().Put(ctx, "source", "hooked", api.PutThing{Files: hooked.Files}, hooked.Revision); err != nil {
		t.Errorf("as it is: %v", err)
	}
	_, err = c.Applied().Put(
		ctx, "source", "hooked",
		api.PutThing{Files: append(hooked.Files, api.ThingFile{Path: "discard.d/y", Mode: "0755"})}, 0,
	)
	refused("another hook", err, compute.ErrDenied, "run on")
	if err := c.Applied().Delete(ctx, "source", "hooked", hooked.Revision); err != nil {
		t.Error(err)
	}

	// it misses its bundle
	if err := os.RemoveAll(filepath.Join(o.Dir, ".config/hostler/sources/here")); err != nil {
		t.Fatal(err)
	}
	write("[apply]\nmay-run = yes\n")
	o.run("reload")
	if _, err := c.Applied().Put(ctx, "source", "hooked", putSource("type = fake\n", hook), 0); err != nil {
		t.Errorf("with may-run: %v", err)
	}
	acts, err := c.Audit(ctx, client.AuditQuery{Act: "put-applied"})
	if err != nil || len(acts) == 0 || !strings.HasPrefix(acts[0].Thing, "source/") || acts[0].Reason != "a test" {
		t.Errorf("the audit log has %+v, %v", acts, err)
	}
}

// TestAppliedEverywhere: what one controller applies, another on the same database has, on this
// machine with the same directory or on another, and after a restart.
func TestAppliedEverywhere(t *testing.T) {
	dsn := pgtest.Start(t).Database(t)
	here, there := newMachine(t), newMachine(t)
	here.onDatabase(dsn)
	there.onDatabase(dsn)
	all := append(newFleet(t, here, 2).all, newFleet(t, there, 1).all...)
	set := filepath.Join(here.work, "set", "sources", "web")
	write := func(text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(set, 0o700), os.WriteFile(filepath.Join(set, "source.conf"), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	apply := func(at *ship) {
		t.Helper()
		here.must("--controller", "unix:"+at.socket, "apply", "-f", "set", "-l", "app=ci", "--prune")
	}
	has := func(want string) {
		t.Helper()
		for i, s := range all {
			for limit := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
				status, text, err := s.ask(t.Context(), http.MethodGet, "/v1/sources/web", "", "")
				if err == nil && (want == "" && status == http.StatusNotFound || want != "" && strings.Contains(string(text), want)) {
					break
				}
				if time.Now().After(limit) {
					t.Fatalf("controller %d: %d %s %v, want %s", i, status, text, err, want)
				}
			}
		}
	}
	write("type = fake\nmaximum = 3\n")
	apply(all[0])
	has(`"max":3`)
	all[2].kill()
	write("type = fake\nmaximum = 5\n")
	apply(all[1])
	all[2].start()
	all[2].await()
	has(`"max":5`)
	if err := os.RemoveAll(set); err != nil {
		t.Fatal(err)
	}
	apply(all[2])
	has("")
}
