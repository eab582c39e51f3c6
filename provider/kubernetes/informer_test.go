package kubernetes_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/compute"
)

// TestFallen has runs say what became of their pods, while the commands live on there, as on a node
// that is lost: the lab's nodes end nothing.
func TestFallen(t *testing.T) {
	const evicted = `{"status":{"phase":"Failed","reason":"Evicted","message":"The node was low on resource: memory."}}`
	for _, c := range []struct{ name, way, want, patch string }{
		{"evicted", "agent", "evicted: The node was low on resource: memory.", evicted},
		{"evicted, by exec", "exec", "evicted: The node was low on resource: memory.", evicted},
		{"deleted", "agent", "deleted, by somebody else", ""},
		{
			"out of memory", "agent", "out of memory",
			`{"status":{"phase":"Failed","containerStatuses":[{"name":"main","image":"i","imageID":"","ready":false,` +
				`"restartCount":0,"state":{"terminated":{"exitCode":137,"reason":"OOMKilled"}}}]}}`,
		},
		{
			"started again", "agent", "started again: out of memory",
			`{"status":{"containerStatuses":[{"name":"main","image":"i","imageID":"","ready":true,"restartCount":1,` +
				`"state":{"running":{"startedAt":"2026-01-01T00:00:00Z"}},"lastState":{"terminated":{"exitCode":137,` +
				`"reason":"OOMKilled"}}}]}}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // each waits for two seconds
			o := site(t)
			o.Way = c.way
			p := open(t, o)
			conn := ready(t, p, "suite-1")
			list, err := p.List(t.Context())
			if err != nil || len(list) != 1 {
				t.Fatalf("List: %v %v", list, err)
			}
			pod := strings.TrimPrefix(list[0].ProviderID, o.Namespace+"/")
			out := &lines{first: make(chan struct{})}
			done := make(chan error, 1)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			go func() {
				_, err := conn.Run(ctx, &compute.Command{Args: []string{"sh", "-c", "echo $PPID; exec sleep 1000"}, Stdout: out})
				done <- err
			}()
			<-out.first
			if c.patch == "" {
				lab.Ctl(t, "", "delete", "pod", pod, "-n", o.Namespace, "--wait=false")
			} else {
				lab.Ctl(t, "", "patch", "pod", pod, "-n", o.Namespace, "--subresource=status", "--type=merge", "-p", c.patch)
			}
			if strings.Contains(c.patch, `"restartCount":1`) {
				pid, err := strconv.Atoi(out.text)
				if err == nil {
					// the guest program, with the container
					err = syscall.Kill(pid, syscall.SIGKILL)
				}
				if err != nil {
					t.Error(err)
				}
			}
			if err := <-done; !errors.Is(err, compute.ErrLost) || !errors.Is(err, compute.ErrEnded) ||
				!strings.Contains(err.Error(), c.want) {
				t.Errorf("Run: %v", err)
			}
		})
	}
}
