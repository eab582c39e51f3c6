//go:build linux

package container_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/container"
)

// BenchmarkRun runs true in a container that is there, by the agent, and for comparison by an exec
// of the engine's own for each command.
func BenchmarkRun(b *testing.B) {
	for _, d := range []*daemon{docker, podman} {
		b.Run(d.name, func(b *testing.B) {
			d.need(b)
			p := open(b, d, container.Options{})
			in := create(b, p, "suite-1")
			conn := connect(b, p, "suite-1")
			cmd := &compute.Command{Args: []string{"true"}}
			if _, err := conn.Run(b.Context(), cmd); err != nil {
				b.Fatal(err)
			}
			peer := time.Hour
			for range 5 {
				begin := time.Now()
				d.exec(b, in.ProviderID, "true")
				peer = min(peer, time.Since(begin))
			}
			best := time.Hour
			for b.Loop() {
				begin := time.Now()
				if _, err := conn.Run(b.Context(), cmd); err != nil {
					b.Fatal(err)
				}
				best = min(best, time.Since(begin))
			}
			b.ReportMetric(float64(peer.Microseconds()), "exec-µs")
			b.ReportMetric(float64(peer)/float64(best), "exec/run")
		})
	}
}

// exec runs a command by the engine's exec and waits for its end.
func (d *daemon) exec(b *testing.B, container string, args ...string) {
	b.Helper()
	text, _ := json.Marshal(map[string]any{"AttachStdout": true, "Cmd": args})
	var made struct{ ID string }
	if err := json.Unmarshal(
		d.api(b, http.MethodPost, "/containers/"+container+"/exec", strings.NewReader(string(text))), &made,
	); err != nil {
		b.Fatal(err)
	}
	conn, err := net.Dial("unix", d.socket)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	body := `{"Detach":false}`
	fmt.Fprintf(
		conn,
		"POST /v1.41/exec/%s/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nConnection: close\r\n"+
			"Content-Length: %d\r\n\r\n%s",
		made.ID, len(body), body,
	)
	if _, err := io.Copy(io.Discard, conn); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCold makes a container, runs true in it and removes it, and for comparison has the
// engine's own command do the same.
func BenchmarkCold(b *testing.B) {
	// podman's command would have to share the daemon's private mounts
	for _, d := range []*daemon{docker} {
		b.Run(d.name, func(b *testing.B) {
			d.need(b)
			p := open(b, d, container.Options{})
			peer := time.Duration(0)
			if docker, err := exec.LookPath("docker"); err == nil {
				peer = time.Hour
				for range 5 {
					begin := time.Now()
					if out, err := exec.Command(
						docker, "-H", "unix://"+d.socket, "run", "--rm", "--network", "none", "tiny", "true",
					).CombinedOutput(); err != nil {
						b.Fatalf("%v: out = %s; want no error", err, out)
					}
					peer = min(peer, time.Since(begin))
				}
			}
			best, n := time.Hour, 0
			for b.Loop() {
				n++
				begin, id := time.Now(), compute.ID(fmt.Sprintf("suite-%d", n))
				if _, err := p.Create(b.Context(), compute.Spec{ID: id}); err != nil {
					b.Fatal(err)
				}
				conn, err := p.Connect(b.Context(), id)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := conn.Run(b.Context(), &compute.Command{Args: []string{"true"}}); err != nil {
					b.Fatal(err)
				}
				conn.Close()
				destroy(b, p, id)
				best = min(best, time.Since(begin))
			}
			if peer > 0 {
				b.ReportMetric(float64(peer.Milliseconds()), "docker-run-ms")
				b.ReportMetric(float64(peer)/float64(best), "docker-run/cold")
			}
		})
	}
}
