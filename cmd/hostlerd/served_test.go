package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hostler-project/hostler/host/socket"
)

// embeddedAlone are scripts that are about what happens without a controller.
var embeddedAlone = map[string]string{
	"keeper":    "it is about the process that does a controller's work where there is none",
	"leftovers": "it takes the state's file away, and a controller keeps that open",
	"state":     "it puts other files in place of the state's, and a controller keeps that open",
}

// asksNone are scripts of which no command asks a controller: with one they would say what they say
// without. TestScripts sees to it that it is so.
var asksNone = []string{
	"arsenal", "directorplan", "image", "slapos", "slaposbeside", "slaposcertificate", "slaposdaemon", "slaposformat",
	"slaposimport", "slaposleft", "slaposlocal", "slaposnode",
	"slapospromise", "slaposreport", "slapossoftware", "slaposstandalone",
}

// TestScriptsServed runs the scripts again, with a controller that the commands find: they work as
// without it. It makes nothing ahead of need, as that would be seen.
func TestScriptsServed(t *testing.T) {
	dir := t.TempDir()
	all, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		if slices.Contains(asksNone, name) {
			continue
		}
		if why := embeddedAlone[name]; why != "" {
			t.Run(name, func(t *testing.T) { t.Skipf("%s: %s", name, why) })
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	scripts(t, dir, true, func(env *testscript.Env) {
		startController(t, env.Vars, env.WorkDir, env.Getenv("XDG_RUNTIME_DIR"), env.Defer, "--no-fill")
	})
}

// unasked has a socket stand where a script's commands look for a controller, and the test fail
// when any of them comes.
func unasked(t *testing.T, name string, env *testscript.Env) {
	dir := filepath.Join(env.Getenv("XDG_RUNTIME_DIR"), "hostler")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, socket.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
			t.Errorf("%s asks a controller: take it out of asksNone, so that it is run with one too", name)
		}
	})
	env.Defer(func() {
		_ = l.Close()
		done.Wait()
	})
}

// TestServe runs the scripts that are about a controller. What listens by TCP is read by the API
// process where this user is root, as the default is.
func TestServe(t *testing.T) { serveScripts(t) }

// TestServeOneProcess runs them again without the API process.
func TestServeOneProcess(t *testing.T) {
	t.Setenv("HOSTLER_TEST_API_PROCESS", "off")
	serveScripts(t)
}

func serveScripts(t *testing.T) {
	scripts(t, "testdata/served", true, func(env *testscript.Env) {
		env.Setenv("TCP", startController(t, env.Vars, env.WorkDir, env.Getenv("XDG_RUNTIME_DIR"), env.Defer, "--listen", "127.0.0.1:0"))
	})
}

// serving returns the command line of a controller with such options. HOSTLER_TEST_API_PROCESS, if
// set, is its --api-process.
func serving(options []string) []string {
	args := append([]string{"serve"}, options...)
	if how := os.Getenv("HOSTLER_TEST_API_PROCESS"); how != "" {
		args = append(args, "--api-process="+how)
	}
	return args
}

// startController has a controller serve until the test ends, and returns the URL that it listens
// on; "": none.
func startController(t testing.TB, vars []string, dir, run string, end func(func()), options ...string) (url string) {
	t.Helper()
	cmd := exec.Command("hostler", serving(options)...)
	cmd.Env, cmd.Dir = vars, dir
	log, err := os.CreateTemp(t.TempDir(), "serve")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			text, _ := os.ReadFile(log.Name())
			t.Errorf("serve: %v\n%s", err, text)
		}
		_ = log.Close()
	})
	socket := filepath.Join(run, "hostler", socket.SocketName)
	said := regexp.MustCompile(`msg=serving listen="?\[(.*)\]`)
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		text, _ := os.ReadFile(log.Name())
		m := said.FindSubmatch(text)
		if m == nil {
			continue
		}
		if _, err := os.Stat(socket); err != nil {
			t.Fatalf("it serves, and there is no socket: %v", err)
		}
		for _, at := range strings.Fields(string(m[1])) {
			if at, tcp := strings.CutPrefix(at, "tcp:"); tcp {
				url = "http://" + at
			}
		}
		return url
	}
	text, _ := os.ReadFile(log.Name())
	t.Fatalf("no controller: %s", text)
	return ""
}
