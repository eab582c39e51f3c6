//go:build linux

package vm_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
)

func TestWarm(t *testing.T) {
	o := lab(t)
	o.Warm, o.Dir = true, filepath.Join(t.TempDir(), "state")
	p := open(t, o)
	began := time.Now()
	create(t, p, "suite-1")
	t.Log("saved and restored", time.Since(began))
	began = time.Now()
	create(t, p, "suite-2")
	pid2, _ := p.PID("suite-2")
	t.Log("restored", time.Since(began), spent(pid2))
	for _, id := range []compute.ID{"suite-1", "suite-2"} {
		pid, _ := p.PID(id)
		cpu := spent(pid)
		began = time.Now()
		c := connect(t, p, id)
		connected := time.Since(began)
		if _, err := c.Run(t.Context(), &compute.Command{Args: []string{"true"}}); err != nil {
			t.Fatal(err)
		}
		t.Log("connected", connected, "true", time.Since(began), "cpu", spent(pid)-cpu)
		cpu = spent(pid)
		began = time.Now()
		if _, err := c.Run(t.Context(), &compute.Command{Args: []string{"true"}}); err != nil {
			t.Fatal(err)
		}
		t.Log("true again", time.Since(began), "cpu", spent(pid)-cpu)
		t.Log(sh(t, c, "hostname; cat /etc/machine-id /etc/ssh/*.pub /etc/hostname; date; ls -la /etc/ssh; uptime; head -c 8 /dev/urandom | od -x"))
		began = time.Now()
		if _, err := p.Clean(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		pid, _ = p.PID(id)
		t.Log("cleaned", time.Since(began), "cpu", spent(pid))
	}
}
