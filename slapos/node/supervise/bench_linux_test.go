package supervise_test

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/slapos/node/supervise"
)

// BenchmarkRestart is from the death of a program to the next one's running, beside starting and
// reaping the same program by hand.
func BenchmarkRestart(b *testing.B) {
	r := newRig(b)
	do(b, r.s.Close())
	r.opt.Settled = time.Nanosecond // each is restarted at once
	r.open()
	p := supervise.Program{Name: "p", Command: []string{"/bin/sleep", "1000"}, Dir: "/", Keep: supervise.Again}
	r.put(p)
	for b.Loop() {
		was := r.status("g:p").PID
		do(b, r.s.Signal(b.Context(), unix.SIGKILL, "g:p"))
		for {
			if st := r.status("g:p"); st.State == supervise.Running && st.PID != was {
				break
			}
		}
	}
	each := b.Elapsed() / time.Duration(b.N)
	began := time.Now()
	const n = 50
	for range n {
		c, err := os.StartProcess(p.Command[0], p.Command, &os.ProcAttr{})
		do(b, err)
		do(b, c.Kill())
		_, _ = c.Wait()
	}
	floor := time.Since(began) / n
	b.ReportMetric(float64(each)/float64(floor), "x-fork-kill-wait")
}

// BenchmarkIdle is the time of the CPU that 1,000 programs cost which do nothing, as a share of a
// core.
func BenchmarkIdle(b *testing.B) {
	r := newRig(b)
	const n = 1000
	g := supervise.Group{Name: "g"}
	for i := range n {
		g.Programs = append(
			g.Programs,
			supervise.Program{
				Name: fmt.Sprint("p", i), Command: []string{"/bin/sleep", "100000"}, Dir: r.work,
				Log: fmt.Sprint(i, ".log"), Keep: supervise.Again, StopWait: time.Second,
			},
		)
	}
	_, err := r.s.Put(context.Background(), g)
	do(b, err)
	began := time.Now()
	do(b, r.s.Start(context.Background(), "g"))
	b.ReportMetric(float64(time.Since(began).Milliseconds())/n, "ms-start")
	used := func() time.Duration {
		var u syscall.Rusage
		do(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	for b.Loop() {
		before := used()
		time.Sleep(20 * time.Second) // what is idle is measured over this time
		b.ReportMetric(100*float64(used()-before)/float64(20*time.Second), "%-of-a-core")
	}
}
