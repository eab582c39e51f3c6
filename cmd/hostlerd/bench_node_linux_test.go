package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/proto"
	slapclient "github.com/hostler-project/hostler/slapos/proto/client"
)

const (
	nodePartitions = 100 // busy ones; each has nodeServices and a promise
	nodeServices   = 5
	nodeMore       = 15 // free ones, for what is asked for then
)

// A benchNode is a node as its user has it: a master of ours, partitions of users of their own
// where we are root, and a release that needs no building.
type benchNode struct {
	*testing.B
	*machine
	root, release string
	config, url   string
	client        *slapclient.Client
}

const nodeRelease = `#!/bin/sh
cat >/dev/null
echo . >>ran
mkdir -p etc/service etc/promise
for i in $(seq %d); do
	printf '#!/bin/sh\necho $$ >s%%s.new; mv s%%s.new s%%s\nexec sleep 100000\n' $i $i $i >etc/service/s$i
	chmod 700 etc/service/s$i
done
printf '#!/bin/sh\necho . >>asked\n' >etc/promise/well
chmod 700 etc/promise/well
`

// newBenchNode has a master started, and the computer known there.
func newBenchNode(b *testing.B, hostler string) *benchNode {
	m := newMachine(b)
	m.program = hostler
	n := &benchNode{
		B: b, machine: m, root: filepath.Join(m.dir, "n/i"), release: filepath.Join(m.dir, "n/rel"),
		config: filepath.Join(m.dir, "slapos.cfg"),
	}
	soft := filepath.Join(m.dir, "n/s")
	n.must(errors.Join(os.Chmod(m.dir, 0o755), os.MkdirAll(n.root, 0o755), os.MkdirAll(soft, 0o755), os.MkdirAll(n.release, 0o755),
		os.WriteFile(filepath.Join(n.release, "instance"), fmt.Appendf(nil, nodeRelease, nodeServices), 0o755)))
	for _, dir := range []string{"n", "n/i", "n/s", "n/rel"} {
		n.must(os.Chmod(filepath.Join(m.dir, dir), 0o755))
	}
	var partitions []map[string]any
	for i := range nodePartitions + nodeMore {
		id := fmt.Sprint("part", i)
		partitions = append(partitions, map[string]any{"partition_id": id})
		n.must(os.Mkdir(filepath.Join(n.root, id), 0o750))
		if os.Getuid() == 0 {
			n.must(errors.Join(os.Chown(filepath.Join(n.root, id), 61700+i, 61700+i), os.Chown(soft, 61699, 61699)))
		}
	}
	n.must(os.WriteFile(
		filepath.Join(m.dir, "master.cfg"),
		[]byte("[slapproxy]\nport = 0\ndatabase_uri = "+filepath.Join(m.dir, "master.db")+"\n"), 0o600,
	))
	log := filepath.Join(m.dir, "master.log")
	n.begin("slapos", "proxy", "start", "--cfg", filepath.Join(m.dir, "master.cfg"), "--log-file", log)
	n.until("the master listens", func() bool {
		text, _ := os.ReadFile(log)
		if m := regexp.MustCompile(`SlapOS master on (http\S*)/,`).FindSubmatch(text); m != nil {
			n.url = string(m[1])
		}
		return n.url != ""
	})
	n.must(os.WriteFile(n.config, fmt.Appendf(nil,
		"[slapos]\ncomputer_id = COMP-1\nmaster_url = %s\ninstance_root = %s\nsoftware_root = %s\npidfile = %s\nroot_check = false\nsoftware_min_free_space = 1M\ninstance_min_free_space = 1M\n",
		n.url, n.root, soft, filepath.Join(m.dir, "n/pid")), 0o644))
	var err error
	n.client, err = slapclient.New(slapclient.Options{URL: n.url})
	n.must(err)
	b.Cleanup(n.client.Close)
	text, err := json.Marshal(map[string]any{"computer_guid": "COMP-1", "compute_partition_list": partitions})
	n.must(err)
	answer, err := http.Post(n.url+"/slapos.put.v0.compute_node_format", "application/json", bytes.NewReader(text))
	n.must(err)
	if answer.Body.Close(); answer.StatusCode != http.StatusOK {
		b.Fatal(answer.Status)
	}
	n.must(n.client.Supply(b.Context(), n.release, "COMP-1", proto.Available))
	b.Cleanup(func() {
		_, _ = n.command("slapos", "node", "stop", "all", "--cfg", n.config).CombinedOutput()
		if pid, err := n.supervisor(); err == nil {
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
	})
	return n
}

func (n *benchNode) must(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(err)
	}
}

func (n *benchNode) until(what string, so func() bool) {
	n.Helper()
	for end := time.Now().Add(2 * time.Minute); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			n.Fatalf("%s: not within two minutes", what)
		}
	}
}

// begin starts one that runs until the benchmark ends.
func (n *benchNode) begin(args ...string) *exec.Cmd {
	n.Helper()
	cmd := n.command(args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	n.must(cmd.Start())
	n.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	return cmd
}

func (n *benchNode) supervisor() (int, error) {
	text, err := os.ReadFile(filepath.Join(n.root, "var/run/supervisord.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// pid is the process of a service, as it has written itself; 0: it has not.
func (n *benchNode) pid(partition, service int) int {
	text, _ := os.ReadFile(filepath.Join(n.root, fmt.Sprintf("part%d/s%d", partition, service)))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// ran counts what was run in the partitions: instances processed, and promises asked.
func (n *benchNode) ran() (count int) {
	for i := range nodePartitions {
		for _, name := range []string{"ran", "asked"} {
			text, _ := os.ReadFile(filepath.Join(n.root, fmt.Sprint("part", i), name))
			count += len(text) / 2
		}
	}
	return count
}

// spent runs a command, and returns how long it took and what it used of the processors.
func (n *benchNode) spent(args ...string) (took, used time.Duration) {
	n.Helper()
	cmd := n.command(append(args, "--cfg", n.config)...)
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		n.Fatalf("%v: %v: %s", args, err, out)
	}
	return time.Since(began), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

func median(all []time.Duration) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// of prints a figure and the share of its goal that it is.
func (n *benchNode) of(name string, value float64, unit string, goal float64) {
	row(n.B, name, value, unit, fmt.Sprintf("< %g: %.2f of it", goal, value/goal))
}

// BenchmarkNode measures a node of a SlapOS master as its user has it: 100 partitions with 500
// processes, by the program itself.
func BenchmarkNode(b *testing.B) {
	hostler, _ := built(b)
	n := newBenchNode(b, hostler)
	ctx := b.Context()
	ask := func(i int) {
		b.Helper()
		_, err := n.client.Request(ctx, &proto.Request{Title: fmt.Sprint("i", i), Release: n.release, State: proto.Started})
		n.must(err)
	}
	for i := range nodePartitions {
		ask(i)
	}
	fmt.Println()
	n.spent("slapos", "node", "software")
	took, used := n.spent("slapos", "node", "instance")
	row(b, "first pass, 100 partitions", ms(took), "ms", "")
	row(b, "first pass, of the processors", ms(used), "ms-cpu", "")
	n.until("all run", func() bool {
		for i := range nodePartitions * nodeServices {
			if n.pid(i/nodeServices, 1+i%nodeServices) == 0 {
				return false
			}
		}
		return true
	})
	n.spent("slapos", "node", "instance") // tells the master what runs now
	before := n.ran()
	var quiet, cpu []time.Duration
	for range 11 {
		took, used := n.spent("slapos", "node", "instance")
		quiet, cpu = append(quiet, took), append(cpu, used)
	}
	if ran := n.ran() - before; ran != 0 {
		b.Errorf("quiet passes ran %d programs", ran)
	}
	n.of("quiet pass, 100 partitions, the command", ms(median(quiet)), "ms", 100)
	row(b, "quiet pass, of the processors", ms(median(cpu)), "ms-cpu", "")
	took, used = n.spent("slapos", "node", "collect")
	row(b, "collector, 100 partitions, 500 processes", ms(took), "ms", "")
	row(b, "collector, of the processors", ms(used), "ms-cpu", "")

	daemon := n.begin("node", "--cfg", n.config, "--log-file", filepath.Join(n.dir, "node.log"))
	sup, err := n.supervisor()
	n.must(err)
	n.until("the node is there", func() bool { _, err := os.Stat(filepath.Join(n.dir, "n/pid")); return err == nil })
	var latency []time.Duration
	for i := nodePartitions; i < nodePartitions+nodeMore; i++ {
		began := time.Now()
		ask(i)
		n.until("it runs", func() bool { return n.pid(i, 1) != 0 })
		latency = append(latency, time.Since(began))
	}
	n.of("from a request to its process' running", ms(median(latency)), "ms", 500)
	var again []time.Duration
	for i := range 21 {
		was := n.pid(i, 1)
		began := time.Now()
		n.must(syscall.Kill(was, syscall.SIGKILL))
		n.until("it runs again", func() bool { is := n.pid(i, 1); return is != 0 && is != was })
		again = append(again, time.Since(began))
	}
	n.of("a crashed process runs again", ms(median(again)), "ms", 100)

	total := func() time.Duration { return cpuTime(b, daemon.Process.Pid) + cpuTime(b, sup) }
	idle := func(while time.Duration) float64 {
		used := total()
		sleep(ctx, while)
		return 100 * float64(total()-used) / float64(while)
	}
	sleep(ctx, 15*time.Second) // what was told of those that crashed
	row(b, "node and supervisor while nothing changes", idle(40*time.Second), "% of a core", "")
	its, sups := anonymous(b, daemon.Process.Pid), anonymous(b, sup)
	pages := max(resident(b, daemon.Process.Pid)-its, resident(b, sup)-sups)
	n.of("resident, the program's pages counted once", its+sups+pages, "MiB", 60)
	row(b, "resident, the node's own", its, "MiB", "")
	row(b, "resident, the supervisor's own", sups, "MiB", "")
	row(b, "resident, the program's pages counted twice", resident(b, daemon.Process.Pid)+resident(b, sup), "MiB", "")
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// anonymous is how much memory a process has beside its program's pages, which others that run it
// share, in MiB.
func anonymous(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		b.Fatal(err)
	}
	m := regexp.MustCompile(`RssAnon:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		b.Fatal("no RssAnon")
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		b.Fatal(err)
	}
	return float64(kib) / 1024
}
