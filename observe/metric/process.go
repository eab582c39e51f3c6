package metric

import (
	"bytes"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"syscall"
	"time"
)

// read are what of Go's own measures is told, by the names that Prometheus' library gives them.
var read = [...]struct{ from, name, help, kind string }{
	{"/sched/goroutines:goroutines", "go_goroutines", "Number of goroutines that currently exist.", "gauge"},
	{"/sched/gomaxprocs:threads", "go_sched_gomaxprocs_threads", "How many threads may run Go code at once.", "gauge"},
	{
		"/memory/classes/heap/objects:bytes", "go_memstats_heap_alloc_bytes",
		"Bytes of heap objects that are alive or not swept yet.", "gauge",
	},
	{"/memory/classes/total:bytes", "go_memstats_sys_bytes", "Bytes that Go has from the system.", "gauge"},
	{"/gc/heap/allocs:bytes", "go_memstats_alloc_bytes_total", "Bytes ever allocated on the heap.", "counter"},
	{"/gc/heap/goal:bytes", "go_memstats_next_gc_bytes", "Bytes of the heap at which the next collection begins.", "gauge"},
	{"/gc/cycles/total:gc-cycles", "go_gc_cycles_total", "Collections of garbage that ended.", "counter"},
	{
		"/cpu/classes/gc/total:cpu-seconds", "go_cpu_gc_seconds_total",
		"Seconds of processor time that collecting garbage took, as estimated.", "counter",
	},
	{"/sync/mutex/wait/total:seconds", "go_sync_mutex_wait_seconds_total", "Seconds that goroutines waited for mutexes.", "counter"},
}

// Process adds metrics of this process and of its Go runtime.
func (r *Registry) Process() {
	samples := make([]metrics.Sample, len(read))
	set := make([]func(float64), len(read))
	for i, m := range read {
		samples[i].Name = m.from
		if m.kind == "counter" {
			set[i] = r.total(m.name, m.help)
		} else {
			g := r.Gauge(m.name, m.help)
			set[i] = func(v float64) { g.Set(v) }
		}
	}
	r.Gauge("go_info", "The Go that this was built with.", "version").Set(1, runtime.Version())
	r.Gauge("process_start_time_seconds", "When the process started, in seconds since 1970.").Set(float64(time.Now().UnixMilli()) / 1000)
	cpu := r.total("process_cpu_seconds_total", "Seconds of processor time that this process took.")
	resident := r.Gauge("process_resident_memory_bytes", "Bytes of memory that are in use and not swapped out.")
	files := r.Gauge("process_open_fds", "Open file descriptors.")
	limit := r.Gauge("process_max_fds", "File descriptors that may be open.")
	r.Before(func() {
		metrics.Read(samples)
		for i, s := range samples {
			switch s.Value.Kind() {
			case metrics.KindUint64:
				set[i](float64(s.Value.Uint64()))
			case metrics.KindFloat64:
				set[i](s.Value.Float64())
			}
		}
		var use syscall.Rusage
		if syscall.Getrusage(syscall.RUSAGE_SELF, &use) == nil {
			cpu(float64(use.Utime.Nano()+use.Stime.Nano()) / 1e9)
		}
		var most syscall.Rlimit
		if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &most) == nil {
			limit.Set(float64(most.Cur))
		}
		// Without /proc these two are left out.
		if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
			if words := bytes.Fields(statm); len(words) > 1 {
				if pages, err := strconv.ParseFloat(string(words[1]), 64); err == nil {
					resident.Set(pages * float64(os.Getpagesize()))
				}
			}
		}
		if open, err := os.ReadDir("/proc/self/fd"); err == nil {
			files.Set(float64(len(open) - 1)) // but for the one that reads this
		}
	})
}

// total adds a counter whose value is counted elsewhere. The function it returns sets that value.
func (r *Registry) total(name, help string) func(float64) {
	f := r.add(&family{name: name, help: help, kind: "counter"})
	return func(v float64) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.at(nil).sum = v
	}
}
