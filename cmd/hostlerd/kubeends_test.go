package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/cli/runcmd"
	"github.com/hostler-project/hostler/cli/term"
)

// kubernetesForwardEnds has what is forwarded from a pod end with it, and say why, though nobody
// uses it.
func kubernetesForwardEnds(t *testing.T, m *machine, ns string) {
	instance := strings.TrimSpace(m.must("acquire", "-s", "pods"))
	cmd := m.command("forward", instance, "-L", "0:127.0.0.1:9")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err := errors.Join(err, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		_ = cmd.Wait()
		t.Fatalf("%v: &said = %s; want no error", err, &said)
	}
	pods := podsOf(t, "-n", ns)
	i := slices.IndexFunc(pods, func(name string) bool { return strings.HasPrefix(name, "pod/"+instance+"-") })
	kubernetesLab.Ctl(t, "", "delete", pods[i], "-n", ns, "--wait=false")
	if err := cmd.Wait(); err == nil || !strings.Contains(said.String(), instance) || !strings.Contains(said.String(), "by somebody else") {
		t.Errorf("forward ended with %v: %s", err, &said)
	}
	_, _, _ = m.run("release", instance) // a controller has ended the lease
}

// kubernetesEnds has runs say why their pods ended in the middle of them: on the terminal, in the
// report and in the record of the run.
func kubernetesEnds(t *testing.T, m *machine, ns string) {
	const evicted = `{"status":{"phase":"Failed","reason":"Evicted","message":"The node was low on resource: memory."}}`
	for _, c := range []struct {
		how, want, patch string
		// as a kubelet does: the lab's nodes let commands live on, as nodes do that are cut off
		killed bool
	}{
		{"evicted", "evicted: The node was low on resource: memory.", evicted, true},
		{"evicted, and cut off", "evicted: The node was low on resource: memory.", evicted, false},
		{
			"out of memory", "out of memory",
			`{"status":{"phase":"Failed","containerStatuses":[{"name":"main","image":"i","imageID":"","ready":false,"restartCount":0,"state":{"terminated":{"exitCode":137,"reason":"OOMKilled"}}}]}}`,
			true,
		},
		{"deleted", "deleted, by somebody else", "", true},
	} {
		report := filepath.Join(m.work, "report")
		cmd := m.command("run", "pods", "--report", report, "--", "sh", "-c", "echo $PPID $HOSTLER_INSTANCE; exec sleep 1000")
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.StdoutPipe()
		if err := errors.Join(err, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		var agent int
		var instance string
		if _, err := fmt.Fscan(out, &agent, &instance); err != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("%s: err = %v: &said = %s; want no error", c.how, err, &said)
		}
		pods := podsOf(t, "-n", ns)
		i := slices.IndexFunc(pods, func(name string) bool { return strings.HasPrefix(name, "pod/"+instance+"-") })
		if c.patch == "" {
			kubernetesLab.Ctl(t, "", "delete", pods[i], "-n", ns, "--wait=false")
		} else {
			kubernetesLab.Ctl(t, "", "patch", pods[i], "-n", ns, "--subresource=status", "--type=merge", "-p", c.patch)
		}
		if c.killed {
			// a controller may have been faster
			if err := syscall.Kill(agent, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				t.Error(err)
			}
		}
		_ = cmd.Wait()
		text, err := os.ReadFile(report)
		var v runcmd.RunReport
		if err := errors.Join(err, json.Unmarshal(text, &v)); err != nil {
			t.Fatal(err)
		}
		const first = ": contact lost while the command ran: "
		if got := cmd.ProcessState.ExitCode(); got != term.ExitLost ||
			!strings.Contains(said.String(), instance+first) || !strings.Contains(said.String(), c.want) {
			t.Errorf("%s: exit status %d, %s", c.how, got, &said)
		}
		if !v.Begun || v.Exit != term.ExitLost || v.Kind != "unavailable" || !strings.Contains(v.Error, c.want) {
			t.Errorf("%s: the report: %s", c.how, text)
		}
		if got := m.must("runs", "show", v.Run, "--json"); !strings.Contains(got, c.want) {
			t.Errorf("%s: the record: %s", c.how, got)
		}
	}
}
