package pool_test

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
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
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/pooltest"
	"github.com/hostler-project/hostler/pool/steps"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "simulate this seed only, with its whole trace")
	seedsFlag = flag.Int("seeds", 0, "how many seeds to simulate; 0: as many as the test's time allows")
	// A change of the engine that is to change nothing is judged by it: written before, compared
	// after.
	corpusFlag = flag.String("corpus", "", "compare the seeds' traces with those of a file; write it if it is not there")
)

// simulate runs a scenario.
func simulate(t *testing.T, s pooltest.Scenario, opt pooltest.Options) pooltest.Outcome {
	t.Helper()
	o, err := pooltest.Simulate(t, s, opt)
	must(t, err)
	return o
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
		pooltest.OneP(t)
		o := simulate(t, pooltest.Seed(*seedFlag), pooltest.Options{Whole: true})
		fmt.Println(o.Trace)
		t.Logf("seed %d: %d turns, trace %x", *seedFlag, o.Turns, o.Hash)
		if o.Broken != "" {
			t.Fatalf("seed %d: %s", *seedFlag, o.Broken)
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
	pooltest.OneP(t)
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
	done, traces, passed := make([]int, parts), make([]map[uint64]string, parts), make([]map[pooltest.Passage]int, parts)
	var wg sync.WaitGroup
	for k := range parts {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestSimulate$", "-test.timeout=0", "-test.v")
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %d %d", part, k, parts, n, limit))
			out, err := cmd.CombinedOutput()
			lines := bytes.Split(out, []byte("\n"))
			last := ""
			traces[k], passed[k] = map[uint64]string{}, map[pooltest.Passage]int{}
			for _, l := range lines {
				var seed uint64
				var trace string
				if n, _ := fmt.Sscanf(string(l), "trace %d %s", &seed, &trace); n == 2 {
					traces[k][seed] = trace
				}
				var of pooltest.Passage
				var times int
				if m, _ := fmt.Sscanf(string(l), "passed %d %s %q", &times, &of.Step, &of.From); m == 3 {
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
	judgePassed(t, all, append(passed, runScenarios(t)))
	t.Logf("%d seeds in %v", all, time.Since(start).Round(time.Second))
	if *corpusFlag != "" {
		compareTraces(t, *corpusFlag, traces)
	}
}

// runScenarios runs the written scenarios, which do what seeds seldom draw.
func runScenarios(t *testing.T) map[pooltest.Passage]int {
	files, err := filepath.Glob("pooltest/testdata/*.json")
	must(t, err)
	passed := map[pooltest.Passage]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		s, err := pooltest.Read(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%s: err = %v; want no error", file, err)
		}
		for of, n := range pooltest.Run(t, s).Passed {
			passed[of] += n
		}
	}
	return passed
}

// enough is how many seeds, with the written scenarios, pass every row of the table of steps.
const enough = 400

// notPassed are rows that the simulator cannot pass, and why.
var notPassed = map[pooltest.Passage]string{
	{From: steps.None, Step: steps.Find}:        "a simulated cloud has nothing of ours without a record; TestControllersTakeStock has it",
	{From: compute.Leased, Step: steps.PutBack}: "a simulated provider does not know whether its place answers; TestAway has it",
}

// judgePassed judges that the seeds passed every row of the table of steps.
func judgePassed(t *testing.T, seeds int, parts []map[pooltest.Passage]int) {
	all := map[pooltest.Passage]int{}
	for _, p := range parts {
		for of, n := range p {
			all[of] += n
		}
	}
	for _, r := range steps.Table() {
		of := pooltest.Passage{From: r.From, Step: r.Step}
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
	pooltest.OneP(t)
	dir := pooltest.Memory(t)
	var k, parts, n, limit int64
	if _, err := fmt.Fscan(strings.NewReader(p), &k, &parts, &n, &limit); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	passed := map[pooltest.Passage]int{}
	for seed := k + 1; seed <= n && (limit == 0 || int64(time.Since(start)) < limit); seed += parts {
		fmt.Printf("seed %d\n", seed)
		o := simulate(t, pooltest.Seed(uint64(seed)), pooltest.Options{Dir: dir})
		if o.Broken != "" {
			t.Fatalf("o.Broken = %s\no.Trace = %s; want o.Broken == \"\"", o.Broken, o.Trace)
		}
		fmt.Printf("trace %d %d:%016x\n", seed, o.Turns, o.Hash)
		for of, n := range o.Passed {
			passed[of] += n
		}
	}
	for of, n := range passed {
		fmt.Printf("passed %d %s %q\n", n, of.Step, of.From)
	}
}

// TestReplay runs seeds twice: a failure that cannot be repeated is worth little.
func TestReplay(t *testing.T) {
	pooltest.OneP(t)
	dir := pooltest.Memory(t)
	most := uint64(20)
	if raced {
		most = 3
	}
	for seed := uint64(1); seed <= most; seed++ {
		a := simulate(t, pooltest.Seed(seed), pooltest.Options{Dir: dir})
		b := simulate(t, pooltest.Seed(seed), pooltest.Options{Dir: dir})
		if a.Hash != b.Hash || a.Turns != b.Turns {
			t.Errorf("seed %d went two ways: %d turns, trace %x, and %d turns, trace %x", seed, a.Turns, a.Hash, b.Turns, b.Hash)
		}
	}
}
