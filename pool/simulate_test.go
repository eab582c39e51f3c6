package pool_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/steps"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "simulate this seed only, with its whole trace")
	seedsFlag = flag.Int("seeds", 0, "how many seeds to simulate; 0: as many as the test's time allows")
	// A change of the engine that is to change nothing is judged by it: written before, compared
	// after.
	corpusFlag = flag.String("corpus", "", "compare the seeds' traces with those of a file; write it if it is not there")
)

// outcome of one seed.
type outcome struct {
	broken string
	trace  string
	hash   uint64
	turns  int
	passed map[passage]int // how often each row of the table of steps was
}

// simulate runs one seed in dir.
func simulate(t *testing.T, seed uint64, dir string, b bend) (out outcome) {
	template := filepath.Join(dir, "template.db")
	if _, err := os.Stat(template); err != nil {
		st, err := sqlite.Open(context.Background(), template, sqlite.Options{Unsafe: true})
		must(t, err)
		must(t, st.Update(context.Background(), func(tx store.Tx) error { _, err := tx.NextNumber("none"); return err }))
		must(t, st.Close())
	}
	here, err := os.MkdirTemp(dir, "seed")
	must(t, err)
	defer os.RemoveAll(here)
	for _, end := range []string{"", "-wal"} {
		if from, err := os.Open(template + end); err == nil {
			to, err := os.OpenFile(filepath.Join(here, "state.db"+end), os.O_CREATE|os.O_WRONLY, 0o600)
			must(t, err)
			_, err = io.Copy(to, from)
			must(t, errors.Join(err, from.Close(), to.Close()))
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(seed, here, b)
		for slot := range w.procs {
			w.start(slot)
		}
		w.sched.check = func() {
			if w.sched.turns%64 == 0 {
				w.clouds(false)
			}
			w.starving()
			if w.sched.turns%256 == 0 {
				for _, p := range w.procs {
					if p != nil {
						w.compare(p)
						break
					}
				}
			}
		}
		w.sched.run(3*time.Hour, func() bool { return !w.busy(-1) })
		if !w.sched.failed() {
			w.outages()
			w.finish()
		}
		for _, p := range w.procs {
			if p != nil {
				p.kill()
			}
		}
		w.calm = true
		for _, u := range w.users {
			u.done = true
		}
		w.sched.crash = func(*process) bool { return false }
		w.sched.sweep()
		out = outcome{broken: w.sched.broken, hash: w.sched.hash, turns: w.sched.turns, passed: w.passed}
		switch {
		case *seedFlag != 0:
			out.trace = w.sched.tail(len(w.sched.marks))
		case out.broken != "":
			out.trace = w.sched.tail(400)
		}
		for range 100 { // let everything end that still sleeps
			synctest.Wait()
			w.sched.mu.Lock()
			for _, sp := range w.sched.parked {
				sp.proc.dead.Store(true)
			}
			w.sched.mu.Unlock()
			w.sched.sweep()
			time.Sleep(time.Hour)
		}
	})
	return out
}

// memory is a directory for stores that need not outlive anything.
func memory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "hostler-simulate-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// oneP makes the ids of goroutines grow in the order in which they were begun, so that a seed
// replays.
func oneP(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip(runtime.GOOS + ": the workers of one process cannot be told apart by their locks here")
	}
	was := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(was) })
}

// part is the environment variable that makes a test process simulate a part of the seeds: "PART
// PARTS SEEDS LIMIT".
const part = "HOSTLER_SIMULATE_PART"

// TestSimulate runs the engine with several processes, crashes, failures and lost answers, all by a
// seed. The seeds are shared out among as many processes as there are processors, so that a panic
// in one of the engine's goroutines can be told with its seed too.
//
// -seed N replays one with its trace; -seeds N, or HOSTLER_SEEDS, simulates so many. -corpus FILE
// compares each seed's trace, which has all that each transaction wrote and each answer, with what
// another build of the engine gave, or writes the file. Without -seeds it
// is 200 in short mode, 2,000 where HOSTLER_REQUIRE_LAB is set, and elsewhere what can be done in
// 20 seconds.
func TestSimulate(t *testing.T) {
	if *seedFlag != 0 {
		oneP(t)
		o := simulate(t, *seedFlag, memory(t), bend{})
		fmt.Println(o.trace)
		t.Logf("seed %d: %d turns, trace %x", *seedFlag, o.turns, o.hash)
		if o.broken != "" {
			t.Fatalf("seed %d: %s", *seedFlag, o.broken)
		}
		return
	}
	if p := os.Getenv(part); p != "" {
		simulatePart(t, p)
		return
	}
	fromEnv, _ := strconv.Atoi(os.Getenv("HOSTLER_SEEDS"))
	n, limit := cmp.Or(*seedsFlag, fromEnv), time.Duration(0)
	strict := n == 0 && os.Getenv("HOSTLER_REQUIRE_LAB") != ""
	if n == 0 {
		n, limit = 1000, 20*time.Second
		if testing.Short() {
			n = 200
		}
		if strict && !raced {
			limit = 0
		}
	}
	oneP(t)
	self, err := os.Executable()
	must(t, err)
	simulateParts(t, self, n, limit)
	// the race detector saw some; all of them are for a program without it
	if strict && raced && !t.Failed() {
		plain := filepath.Join(t.TempDir(), "plain.test")
		build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", plain, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build without -race: %v\n%s", err, out)
		}
		simulateParts(t, plain, n, 0)
		if out, err := exec.CommandContext(t.Context(), plain, "-test.run=^TestReplay$").CombinedOutput(); err != nil {
			t.Errorf("without -race: %v\n%s", err, out)
		}
	}
}

// simulateParts runs n seeds in processes of a test program.
func simulateParts(t *testing.T, program string, n int, limit time.Duration) {
	start := time.Now()
	parts := min(runtime.NumCPU(), 8, n)
	done, traces, passed := make([]int, parts), make([]map[uint64]string, parts), make([]map[passage]int, parts)
	var wg sync.WaitGroup
	for k := range parts {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestSimulate$", "-test.timeout=0", "-test.v")
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %d %d", part, k, parts, n, limit))
			out, err := cmd.CombinedOutput()
			lines := bytes.Split(out, []byte("\n"))
			last := ""
			traces[k], passed[k] = map[uint64]string{}, map[passage]int{}
			for _, l := range lines {
				var seed uint64
				var trace string
				if n, _ := fmt.Sscanf(string(l), "trace %d %s", &seed, &trace); n == 2 {
					traces[k][seed] = trace
				}
				var of passage
				var times int
				if m, _ := fmt.Sscanf(string(l), "passed %d %s %q", &times, &of.step, &of.from); m == 3 {
					passed[k][of] = times
				}
				if seed, ok := bytes.CutPrefix(l, []byte("seed ")); ok {
					last = string(seed)
					done[k]++
				}
			}
			if err != nil {
				from := bytes.LastIndex(out, []byte("\nseed "))
				t.Errorf("seed %s: %v\n%s\nreplay: go test ./pool -run 'TestSimulate$' -seed %s", last, err, out[max(0, from):], last)
			}
		})
	}
	wg.Wait()
	all := 0
	for _, d := range done {
		all += d
	}
	if limit == 0 && all != n && !t.Failed() {
		t.Errorf("%d seeds of %d", all, n)
	}
	judgePassed(t, all, passed)
	t.Logf("%d seeds in %v", all, time.Since(start).Round(time.Second))
	if *corpusFlag != "" {
		compareTraces(t, *corpusFlag, traces)
	}
}

// enough is how many seeds pass every row of the table of steps.
const enough = 1000

// notPassed are rows that the simulator cannot pass, and why.
var notPassed = map[passage]string{
	{steps.None, steps.Find}:        "a simulated cloud has nothing of ours that is not recorded; TestStray has it",
	{compute.Leased, steps.PutBack}: "a simulated provider does not know whether its place answers; TestUnreachable has it",
}

// judgePassed judges that the seeds passed every row of the table of steps.
func judgePassed(t *testing.T, seeds int, parts []map[passage]int) {
	all := map[passage]int{}
	for _, p := range parts {
		for of, n := range p {
			all[of] += n
		}
	}
	for _, r := range steps.Table() {
		of := passage{r.From, r.Step}
		why, excepted := notPassed[of]
		switch n := all[of]; {
		case n > 0 && excepted:
			t.Errorf("%s from %q was taken %d times, and is said not to be: %s", r.Step, r.From, n, why)
		case n == 0 && !excepted && seeds >= enough && !t.Failed():
			t.Errorf("%s from %q was never taken in %d seeds", r.Step, r.From, seeds)
		default:
			t.Logf("%-9s from %-12q %8d times %s", r.Step, r.From, n, why)
		}
	}
}

// compareTraces compares traces with those in a file, or writes the file.
func compareTraces(t *testing.T, file string, parts []map[uint64]string) {
	now := map[uint64]string{}
	for _, p := range parts {
		maps.Copy(now, p)
	}
	was, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		var b strings.Builder
		for _, seed := range slices.Sorted(maps.Keys(now)) {
			fmt.Fprintf(&b, "%d %s\n", seed, now[seed])
		}
		must(t, os.WriteFile(file, []byte(b.String()), 0o600))
		return
	}
	must(t, err)
	same := 0
	var differ []uint64
	for line := range strings.Lines(string(was)) {
		var seed uint64
		var trace string
		if _, err := fmt.Sscan(line, &seed, &trace); err != nil {
			t.Fatalf("a line of %s cannot be read: %q: %v", file, line, err)
		}
		switch now[seed] {
		case trace:
			same++
		case "":
		default:
			differ = append(differ, seed)
		}
	}
	t.Logf("%d traces as in %s", same, file)
	if len(differ) > 0 {
		t.Errorf("%d traces differ from those in %s: of the seeds %v", len(differ), file, differ[:min(len(differ), 20)])
	}
}

func simulatePart(t *testing.T, p string) {
	oneP(t)
	dir := memory(t)
	var k, parts, n, limit int64
	if _, err := fmt.Fscan(strings.NewReader(p), &k, &parts, &n, &limit); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	passed := map[passage]int{}
	for seed := k + 1; seed <= n && (limit == 0 || int64(time.Since(start)) < limit); seed += parts {
		fmt.Printf("seed %d\n", seed)
		o := simulate(t, uint64(seed), dir, bend{})
		if o.broken != "" {
			t.Fatalf("o.broken = %s\no.trace = %s; want o.broken == \"\"", o.broken, o.trace)
		}
		fmt.Printf("trace %d %d:%016x\n", seed, o.turns, o.hash)
		for of, n := range o.passed {
			passed[of] += n
		}
	}
	for of, n := range passed {
		fmt.Printf("passed %d %s %q\n", n, of.step, of.from)
	}
}
