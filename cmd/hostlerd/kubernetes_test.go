package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute/inventory"
)

// podSite is a machine with the lab's cluster and a namespace of the test's own.
func podSite(t testing.TB) (m *machine, namespace string) {
	t.Helper()
	namespace = kubernetesLab.Namespace(t)
	m = newMachine(t)
	m.program = lookIn(plainPath(t), "hostler")
	return m, namespace
}

// podsOf returns what there is of an installation in a namespace, or in all of them.
func podsOf(t testing.TB, where ...string) []string {
	t.Helper()
	return strings.Fields(kubernetesLab.Ctl(t, "", append([]string{"get", "pods,sandboxes", "-o", "name"}, where...)...))
}

// TestKubernetes has commands do with pods what they do with any computer, without a controller and
// with one.
func TestKubernetes(t *testing.T) {
	for _, served := range []bool{false, true} {
		t.Run(fmt.Sprint("served=", served), func(t *testing.T) {
			m, ns := podSite(t)
			m.podSource("pods", kubernetesLab.Config(t), ns, "maximum = 3")
			m.podSource("nowhere", kubernetesLab.Config(t), "no-such-namespace", "maximum = 1")
			m.source("wrong", "type = kubernetes\n[kubernetes]\nkind = container\nimage = debian:13\n")
			if served {
				m.serving(t)
				answering(t, m.socketOf(t))
			}
			kubernetesCommands(t, m)
			kubernetesEnds(t, m, ns)
			kubernetesForwardEnds(t, m, ns)
			until(t, "no pod is left", func() bool { return len(podsOf(t, "-n", ns)) == 0 })
		})
	}
}

func kubernetesCommands(t *testing.T, m *machine) {
	if got := m.must("acquire", "-s", "pods", "2"); got != "pods-1 pods-2\n" {
		t.Fatalf("acquired %q", got)
	}
	if got := m.must("status", "pods"); !strings.Contains(got, "pods    0       2       3    kubernetes") {
		t.Errorf("status: %q", got)
	}
	if got := m.must(
		"run", "pods-1", "-e", "A=a b", "--", "sh", "-c", `printf '%s|' "$A" "$@"`, "sh", "a  b", "*", "$HOME", "",
	); got != "a b|a  b|*|$HOME||" {
		t.Errorf("arguments: %q", got)
	}
	for command, want := range map[string]int{"exit 7": 7, "kill -9 $$": 137, "exec no-such-command": 127} {
		if _, errs, exit := m.run("run", "pods-1", "--", "sh", "-c", command); exit != want {
			t.Errorf("%s: exit status %d, %q", command, exit, errs)
		}
	}
	if _, _, exit := m.run("run", "pods-1", "--", "no-such-command"); exit != 127 {
		t.Errorf("no command: exit status %d", exit)
	}
	in := m.command("run", "pods-1", "--", "cat")
	in.Stdin = strings.NewReader("a\x00b\xff")
	if got, err := in.Output(); err != nil || string(got) != "a\x00b\xff" {
		t.Errorf("standard input: %q %v", got, err)
	}

	data := bytes.Repeat([]byte("line\n"), 100_000)
	if err := os.WriteFile(filepath.Join(m.work, "file"), data, 0o640); err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(m.dir, "there") // the lab's pods have this machine's files
	m.must("cp", "file", "pods-1:"+there)
	m.must("cp", "pods-1:"+there, "pods-2:"+there+"2")
	m.must("cp", "pods-2:"+there+"2", "back")
	if got, err := os.ReadFile(filepath.Join(m.work, "back")); err != nil || !bytes.Equal(got, data) {
		t.Errorf("a file that was copied in, between, and out has %d bytes: %v", len(got), err)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = c.Write([]byte("hello"))
			_ = c.Close()
		}
	}()
	cmd, line, _ := m.start("forward", "pods-1", "-L", "0:"+l.Addr().String())
	at, _, _ := strings.Cut(line, " ")
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 5)
	if _, err := conn.Read(said); err != nil || string(said) != "hello" {
		t.Errorf("through the forwarded port came %q, %v", said, err)
	}
	_ = conn.Close()
	_ = cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("forward ended with %v", err)
	}

	shell := m.command("run", "-t", "pods-1", "--", "sh", "-c", "test -t 0 && stty size")
	screen, err := pty.StartWithSize(shell, &pty.Winsize{Rows: 33, Cols: 77})
	if err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	_, _ = shown.ReadFrom(screen) // it ends with an error when the other side has closed
	if err := shell.Wait(); err != nil || !strings.Contains(shown.String(), "33 77") {
		t.Errorf("a terminal: %q %v", &shown, err)
	}

	if got := m.must("source", "test", "pods"); !strings.Contains(got, "connect") || !strings.Contains(got, "discard") {
		t.Errorf("source test: %q", got)
	}
	if got, _, _ := m.run("doctor"); !strings.Contains(got, "source pods") {
		t.Errorf("doctor: %q", got)
	}
	m.must("release", "pods-1")
	if _, errs, exit := m.run("run", "pods-1", "--", "true"); exit != term.ExitNotBegun {
		t.Errorf("run after release: exit status %d, %q", exit, errs)
	}
	m.must("release", "--all", "--wait")
	if got := m.must("run", "pods", "--", "echo", "once"); got != "once\n" {
		t.Errorf("run on the source: %q", got)
	}

	for _, bad := range []struct {
		want  string
		exit  int
		words []string
	}{
		{"no-such-namespace", 2, []string{"acquire", "-s", "nowhere", "--wait", "0"}},
		{"kind", 2, []string{"acquire", "-s", "wrong"}},
		{"no capacity", 3, []string{"acquire", "-s", "pods", "4"}},
	} {
		if out, errs, exit := m.run(bad.words...); exit != bad.exit || !strings.Contains(errs, bad.want) {
			t.Errorf("%q: exit status %d, %s%s", bad.words, exit, out, errs)
		}
	}
}

// TestKubernetesDays is a life of a controller with a hundred warm pods and twenty sandboxes: all
// are used, given back and replaced, held while nodes go and the API server is away, and the
// controller is killed again and again. In the end nothing of it is left, and what others have
// there is as it was.
func TestKubernetesDays(t *testing.T) {
	m, ns := podSite(t)
	const pods, boxes = 100, 20
	config := kubernetesLab.Config(t)
	ctl := func(input string, args ...string) string { t.Helper(); return kubernetesLab.Ctl(t, input, args...) }
	set := func(pods, boxes int) {
		// what was half made when a controller was killed counts for a while
		m.podSource("pods", config, ns, fmt.Sprintf("reserve = %d\nmaximum = 150", pods))
		m.podSource("boxes", config, ns, fmt.Sprintf("reserve = %d\nmaximum = 40", boxes))
		for name, lines := range map[string]string{"pods": "", "boxes": "kind = sandbox\n"} {
			path := filepath.Join(m.home, ".config", "hostler", "sources", name, "source.conf")
			text, err := os.ReadFile(path)
			if err := errors.Join(err, os.WriteFile(path, append(text, lines+"tolerations = passing\n"...), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
	}
	c, err := client.New(client.Options{Socket: m.socketOf(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	counts := func(source string) (ready, used int) {
		status, err := c.Status(t.Context())
		if err != nil {
			return -1, -1
		}
		i := slices.IndexFunc(status, func(s inventory.SourceStatus) bool { return s.Name == source })
		return status[i].Counts.Ready, status[i].Counts.InUse()
	}
	ready := func(source string) int { n, _ := counts(source); return n }
	began := time.Now()
	step := func(what string) { t.Logf("%-8v %s", time.Since(began).Round(time.Second/10), what) }
	wait := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(4 * patience); !ok(); time.Sleep(200 * time.Millisecond) {
			if time.Now().After(end) {
				out, errs, _ := m.run("status")
				t.Fatalf("%s: not after %v\n%s%s", what, 4*patience, out, errs)
			}
		}
		step(what)
	}
	var controller *exec.Cmd
	start := func() {
		controller = m.serving(t)
		answering(t, m.socketOf(t))
	}
	killed := func() {
		_ = controller.Process.Kill()
		_ = controller.Wait()
		start()
	}

	kubernetesLab.Passing(t, "node-going-"+ns, "node-bad-"+ns)
	// What others have there: a pod, one of another installation under a name of ours, a sandbox.
	ctl(`
{apiVersion: v1, kind: Pod, metadata: {name: theirs}, spec: {nodeName: node-0, containers: [{name: main, image: theirs}]}}
---
apiVersion: v1
kind: Pod
metadata:
  name: neighbours
  labels: {hostler-project.github.io/installation: another, hostler-project.github.io/source: pods}
  annotations: {hostler-project.github.io/instance: pods-1, hostler-project.github.io/source: pods}
spec: {nodeName: node-0, containers: [{name: main, image: theirs}]}
---
{apiVersion: agents.x-k8s.io/v1beta1, kind: Sandbox, metadata: {name: box}, spec: {podTemplate: {spec: {nodeName: node-0, containers: [{name: main, image: theirs}]}}}}
`, "apply", "-n", ns, "-f", "-")
	others := func() string {
		return ctl(
			"", "get", "pods,sandboxes", "-n", ns, "-l", "!hostler-project.github.io/source", "-o",
			`jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.uid}{"\n"}{end}`,
		) +
			ctl(
				"", "get", "pods", "-n", ns, "-l", "hostler-project.github.io/installation=another", "-o",
				"jsonpath={.items[*].metadata.uid}",
			)
	}
	wait("the others' are there", func() bool { return strings.Count(others(), "\n") == 3 })
	theirs := others()

	set(pods, boxes)
	start()
	wait("a part is ready", func() bool { return ready("pods") >= pods/4 })
	killed()
	wait("all pods are ready", func() bool { return ready("pods") == pods && ready("boxes") == boxes })

	// All are used, given back and replaced, meanwhile the controller is killed.
	for source, n := range map[string]int{"pods": pods, "boxes": boxes} {
		out, errs, exit := m.run("run", "-s", source, "--on", fmt.Sprint(n), "--", "sh", "-c", "echo is $HOSTLER_INSTANCE")
		if exit != 0 || strings.Count(out, " is "+source+"-") != n {
			events, _, _ := m.run("events")
			t.Fatalf(
				"run on %d of %s: exit status %d, %d said so: %s%s", n, source, exit,
				strings.Count(out, " is "+source+"-"), errs, events,
			)
		}
	}
	step("all were used")
	killed()
	wait("all are replaced", func() bool { return ready("pods") == pods && ready("boxes") == boxes })

	// All are held, while nodes go, the API server is away, and the controller is killed.
	held := strings.Fields(m.must("acquire", "-s", "pods", fmt.Sprint(pods)))
	held = append(held, strings.Fields(m.must("acquire", "-s", "boxes", fmt.Sprint(boxes)))...)
	if _, got := counts("pods"); got != pods {
		t.Fatalf("%d pods are in use, and %d were acquired", got, pods)
	}
	step("all are held")
	ctl("", "delete", "node", "node-going-"+ns, "--wait=false")
	ctl("", "taint", "node", "node-bad-"+ns, "bad=yes:NoExecute")
	kubernetesLab.Stop(t, "apiserver")
	// one that finds a pod elsewhere than it knew, as that of a sandbox, ends itself, and here
	// nobody would start it again
	kubernetesLab.Stop(t, "scheduler")
	killed()
	// those whose node went may be known to be gone
	if _, got := counts("pods"); got > pods || got < pods/4 {
		t.Errorf("%d pods are in use while the API server is away", got)
	}
	if err := kubernetesLab.Up(); err != nil {
		t.Fatal(err)
	}
	step("the API server is back")
	for _, node := range []string{"node-0", "node-1"} {
		there := strings.Fields(ctl(
			"", "get", "pods", "-n", ns, "--field-selector", "spec.nodeName="+node, "-l",
			"hostler-project.github.io/source", "-o",
			`jsonpath={.items[*].metadata.annotations.hostler-project\.github\.io/instance}`,
		))
		// Others are those that were made for who lost his, and a sandbox's pod may have been made
		// there anew.
		i := slices.IndexFunc(there, func(name string) bool { return strings.HasPrefix(name, "pods-") && slices.Contains(held, name) })
		if i < 0 {
			t.Fatalf("%s has none that is held: %q", node, there)
		}
		wait("one that stays is used on", func() bool {
			out, _, exit := m.run("run", there[i], "--", "echo", "still")
			return exit == 0 && out == "still\n"
		})
	}

	// Given back while there is room for a part alone.
	ctl("", "create", "quota", "few", "--hard=pods=60", "-n", ns)
	m.must(append([]string{"release"}, held...)...)
	step("all are given back")
	wait("what the quota leaves is ready, and it is said", func() bool {
		n := ready("pods") + ready("boxes")
		return n > 20 && n < 60 && strings.Contains(m.must("status", "-v"), "quota")
	})

	// The end. What was on the node that went the cluster would forget by itself in a minute.
	ctl("", "delete", "pods", "-n", ns, "--field-selector", "spec.nodeName=node-going-"+ns, "--force", "--grace-period=0", "--wait=false")
	set(0, 0)
	m.must("reload")
	last := -1
	wait("nothing is left", func() bool {
		left := podsOf(t, "-n", ns, "-l", "hostler-project.github.io/source,hostler-project.github.io/installation!=another")
		if len(left) != last {
			last = len(left)
			step(fmt.Sprint(last, " are left"))
		}
		return last == 0
	})
	if got := others(); got != theirs {
		t.Errorf("what others have was\n%s\nand is\n%s", theirs, got)
	}
}
