package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/host/socket"
)

// What BenchmarkKubernetes has ready, how many of it are asked for at once, and how many pods
// BenchmarkKubernetesMemory has known. HOSTLER_BENCH_PODS has fewer be ready, to see that it works,
// and as many fewer be asked for and known.
var readyPods, burstPods, knownPods = benched(os.Getenv("HOSTLER_BENCH_PODS"))

func benched(text string) (ready, burst, known int) {
	const all = 3700
	n, err := strconv.Atoi(text)
	if err != nil || n < 10 || n > all {
		n = all
	}
	return n, n * 36 / 37, n * 10_000 / all
}

// socketOf is where a controller of the machine listens.
func (m *machine) socketOf(b testing.TB) string {
	b.Helper()
	for _, v := range m.env {
		if run, ok := strings.CutPrefix(v, "XDG_RUNTIME_DIR="); ok {
			return filepath.Join(run, "hostler", socket.SocketName)
		}
	}
	b.Fatal("no runtime directory")
	return ""
}

// podSource configures a source of pods.
func (m *machine) podSource(name, config, namespace, more string) {
	m.source(
		name,
		fmt.Sprintf(
			"type = kubernetes\nconcurrency = 0\n%s\n[kubernetes]\nkubeconfig = %s\nnamespace = %s\nimage = debian:13\n",
			more, config, namespace,
		),
	)
}

// BenchmarkKubernetes measures what a lease of a warm pod costs its caller and the cluster: against
// the same of a source that asks nobody, and against a claim of a warm sandbox through the same API
// server.
func BenchmarkKubernetes(b *testing.B) {
	hostler, _ := built(b)
	gate := kubernetesLab.Gate(b)
	ctl := func(input string, args ...string) string { b.Helper(); return kubernetesLab.Ctl(b, input, args...) }
	for _, ns := range []string{"bench", "other", "sandboxes"} {
		ctl("", "create", "namespace", ns)
	}
	for n := range readyPods/250 + 3 { // 250 pods each, and the sandboxes need room too
		kubernetesLab.Node(b, fmt.Sprint("node-", n))
	}
	m := newMachine(b)
	m.program = hostler
	m.podSource("pods", gate.Config, "bench", fmt.Sprintf("reserve = %d\nmaximum = %d", readyPods, readyPods))
	m.source(
		"fake",
		fmt.Sprintf("type = fake\nreserve = %d\nmaximum = %d\nconcurrency = 0\nreuse = no\n[fake]\nstate = memory\n", readyPods, readyPods),
	)
	for n := range 5 { // five sources in two namespaces
		m.podSource(fmt.Sprint("some", n), gate.Config, []string{"bench", "other"}[n%2], "reserve = 0")
	}
	if err := os.WriteFile(
		filepath.Join(m.home, ".config", "hostler", "hostler.conf"),
		[]byte("[director]\nper-source = 64\nper-provider = 64\n"), 0o644,
	); err != nil {
		b.Fatal(err)
	}
	begun := time.Now()
	serve := m.serving(b)
	answering(b, m.socketOf(b))
	c, err := client.New(client.Options{Socket: m.socketOf(b)})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	filled := func(source string) int {
		status, err := c.Status(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		i := slices.IndexFunc(status, func(s inventory.SourceStatus) bool { return s.Name == source })
		return status[i].Counts.Ready
	}
	for _, source := range []string{"fake", "pods"} {
		for end := time.Now().Add(20 * time.Minute); filled(source) < readyPods; time.Sleep(time.Second) {
			if time.Now().After(end) {
				b.Fatalf("%d of %s are ready", filled(source), source)
			}
		}
	}
	fmt.Println()
	row(b, "pods made ready", float64(readyPods)/time.Since(begun).Seconds(), "a second", "")
	gate.Asked()
	took, used := map[string]time.Duration{}, time.Duration(0)
	for _, source := range []string{"fake", "pods"} {
		before := cpuTime(b, serve.Process.Pid) + cpuTime(b, os.Getpid())
		took[source] = burst(b, c, source, burstPods)
		used = cpuTime(b, serve.Process.Pid) + cpuTime(b, os.Getpid()) - before
	}
	row(b, fmt.Sprintf("%d acquisitions at once, of %d", burstPods, readyPods), took["pods"].Seconds(), "s", "<= 1")
	row(b, "  processor for that, the controller's and the callers'", used.Seconds(), "s", "")
	row(b, "  the same / of a source that asks nobody", float64(took["pods"])/float64(took["fake"]), "x", "<= 1.2")
	acquire := func(source string) *timed {
		return &timed{name: source, run: func() error {
			_, err := c.Acquire(b.Context(), compute.Request{Source: source, Count: 1, Owner: "root"})
			return err
		}}
	}
	ours, floor := acquire("pods"), acquire("fake")
	inTurn(b, (readyPods-burstPods)/2, ours, floor)
	row(b, "one acquisition, p50", ms(ours.median()), "ms", "")
	row(b, "  the same / of a source that asks nobody", float64(ours.median())/float64(floor.median()), "x", "<= 1.2")
	asked := gate.Asked()
	row(b, "requests at the API server for all of these", float64(sum(asked)), "", "0")
	if len(asked) > 0 {
		fmt.Println("  ", asked)
	}
	claim := claims(b, 40)
	row(b, "a claim of a warm sandbox until it is ready, p50", ms(claim), "ms", "")
	row(b, "  the same / one acquisition", float64(claim)/float64(ours.median()), "x", ">= 20")

	leases, err := c.Leases(b.Context(), inventory.LeaseQuery{Source: "pods", Limit: 1})
	if err != nil || len(leases) != 1 {
		b.Fatalf("len(leases) = %v, err = %v; want no error and len(leases) == 1", len(leases), err)
	}
	for _, what := range []string{"the first", "another"} {
		gate.Asked()
		m.must("run", string(leases[0].Instance), "--", "true")
		row(b, "requests at the API server for "+what+" run on it", float64(sum(gate.Asked())), "", "<= 1")
	}
	gate.Asked()
	const lives = 20
	for n := range lives {
		m.must("run", fmt.Sprint("some", n%5), "--", "true")
	}
	asked = map[string]int{}
	for end := time.Now().Add(time.Minute); asked["delete pods"] < lives && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for what, n := range gate.Asked() {
			asked[what] += n
		}
	}
	policies := asked["patch networkpolicies"] // one for each source, once in a controller's life
	row(b, "writes at the API server in a life without cleaning", float64(computetest.Writes(asked)-policies)/lives, "", "<= 3")
	open := 0
	for _, n := range gate.Watching() {
		open += n
	}
	row(b, "watches of 6 sources of pods in 2 namespaces", float64(open), "", "2")
}

func sum(of map[string]int) (n int) {
	for _, v := range of {
		n += v
	}
	return n
}

// burst asks for so many at once, each by itself, and returns when the last is answered.
func burst(b *testing.B, c *client.Client, source string, n int) time.Duration {
	b.Helper()
	var ready, all sync.WaitGroup
	start := make(chan struct{})
	for range n {
		ready.Add(1)
		all.Go(func() {
			ready.Done()
			<-start
			if _, err := c.Acquire(b.Context(), compute.Request{Source: source, Count: 1, Owner: "root"}); err != nil {
				b.Errorf("%s: err = %v; want no error", source, err)
			}
		})
	}
	ready.Wait()
	begun := time.Now()
	close(start)
	all.Wait()
	return time.Since(begun)
}

// claims has warm sandboxes be claimed, one after the other, and returns the median of the times
// until a watch tells that one is ready.
func claims(b *testing.B, n int) time.Duration {
	b.Helper()
	const ns = "sandboxes"
	kubernetesLab.WarmPool(b, ns, 2*n)
	url := kubernetesLab.Gate(b).URL + "/apis/extensions.agents.x-k8s.io/v1beta1/namespaces/" + ns + "/sandboxclaims"
	do := func(ctx context.Context, method, url string, body any) (*http.Response, error) {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(r)
		if err == nil && answer.StatusCode >= 300 {
			err = errors.Join(fmt.Errorf("%s %s: %s", method, url, answer.Status), answer.Body.Close())
		}
		return answer, err
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	watch, err := do(ctx, http.MethodGet, url+"?watch=true", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer watch.Body.Close()
	events := json.NewDecoder(watch.Body)
	t := &timed{name: "claim"}
	at := 0
	t.run = func() error {
		at++
		name := fmt.Sprint("claim-", at)
		answer, err := do(ctx, http.MethodPost, url, map[string]any{
			"apiVersion": "extensions.agents.x-k8s.io/v1beta1", "kind": "SandboxClaim",
			"metadata": map[string]any{"name": name},
			"spec":     map[string]any{"warmPoolRef": map[string]any{"name": "warm"}},
		})
		if err != nil {
			return err
		}
		_ = answer.Body.Close()
		for {
			var e struct {
				Object struct {
					Metadata struct{ Name string }
					Status   struct {
						Conditions []struct{ Type, Status string }
					}
				}
			}
			if err := events.Decode(&e); err != nil {
				return err
			}
			for _, c := range e.Object.Status.Conditions {
				if e.Object.Metadata.Name == name && c.Type == "Ready" && c.Status == "True" {
					return nil
				}
			}
		}
	}
	inTurn(b, n, t)
	return t.median()
}

// BenchmarkKubernetesMemory measures a controller that knows many pods of its installation. They
// are copies of one that the lab's API server made, with all that it tells of one, told by a server
// of the benchmark's own as that tells them.
func BenchmarkKubernetesMemory(b *testing.B) {
	hostler, _ := built(b)
	m := newMachine(b)
	m.program = hostler
	kubernetesLab.Ctl(b, "", "create", "namespace", "memory")
	m.podSource("pods", kubernetesLab.Config(b), "memory", "reserve = 0")
	m.must("acquire", "-s", "pods")
	one := kubernetesLab.Ctl(b, "", "get", "pods", "-n", "memory", "-o", "json", "--show-managed-fields")
	m.must("release", "--all", "--wait")
	var list struct{ Items []json.RawMessage }
	var pod bytes.Buffer
	if err := json.Unmarshal([]byte(one), &list); err != nil || len(list.Items) != 1 {
		b.Fatalf("len(list.Items) = %v, err = %v; want no error and len(list.Items) == 1", len(list.Items), err)
	}
	if err := json.Compact(&pod, list.Items[0]); err != nil {
		b.Fatal(err)
	}
	var first struct{ Metadata struct{ Name string } }
	if err := json.Unmarshal(pod.Bytes(), &first); err != nil {
		b.Fatal(err)
	}
	was := first.Metadata.Name
	var wanted atomic.Value // the name of the pod that was asked for
	var told sync.Once
	all := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method == http.MethodPatch: // the source's policy
			// all of it before an answer begins: what is left then is thrown away
			body, _ := io.ReadAll(r.Body)
			_, _ = w.Write(body)
			return
		case r.Method != http.MethodGet || r.URL.Query().Get("watch") != "true":
			// one that is wanted is there, and waits for a node
			if r.Method == http.MethodPost {
				var posted struct{ Metadata struct{ Name string } }
				_ = json.NewDecoder(r.Body).Decode(&posted)
				wanted.Store(posted.Metadata.Name)
			}
			name, _ := wanted.Load().(string)
			id := name[:max(0, strings.LastIndex(name, "-"))]
			waits := strings.NewReplacer(
				`"phase":"Running"`, `"phase":"Pending"`, `"running":`, `"waiting":`, `"nodeName"`, `"was"`, was, name,
				`"pods-1"`, strconv.Quote(id),
			)
			_, _ = waits.WriteString(w, pod.String())
			return
		}
		for n := range knownPods {
			// Of another source of the installation: they are known, and nothing is done about
			// them.
			text := strings.NewReplacer(
				"pods-1", fmt.Sprint("elsewhere-", n), `source":"pods"`, `source":"elsewhere"`, "10.0.0.",
				fmt.Sprintf("10.%d.%d.", n>>8, n&255),
			).Replace(pod.String())
			fmt.Fprintf(w, `{"type":"ADDED","object":%s}`+"\n", text)
		}
		fmt.Fprint(
			w,
			`{"type":"BOOKMARK","object":{"apiVersion":"v1","kind":"Pod","metadata":{"resourceVersion":"999999999","annotations":{"k8s.io/initial-events-end":"true"}}}}`+"\n",
		)
		_ = http.NewResponseController(w).Flush()
		told.Do(func() { close(all) })
		<-r.Context().Done()
	}))
	defer server.Close()
	defer server.CloseClientConnections()
	config := filepath.Join(m.dir, "many")
	text := fmt.Sprintf(
		"{apiVersion: v1, kind: Config, clusters: [{name: a, cluster: {server: %q}}], contexts: [{name: a, context: {cluster: a}}], current-context: a}\n",
		server.URL,
	)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	m.podSource("pods", config, "memory", "reserve = 0")
	cmd := m.serving(b)
	answering(b, m.socketOf(b))
	before := resident(b, cmd.Process.Pid)
	begun := time.Now()
	// it waits for a pod that gets no node, and so for the watch
	asking := m.command("acquire", "-s", "pods")
	if err := asking.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = asking.Process.Kill()
		_ = asking.Wait()
	}()
	select {
	case <-all:
	case <-time.After(2 * time.Minute):
		b.Fatal("nobody asks for the pods")
	}
	took := time.Since(begun)
	time.Sleep(5 * time.Second) // what was begun ends
	after := resident(b, cmd.Process.Pid)
	fmt.Println()
	row(b, "a pod as the API server tells it", float64(pod.Len())/1024, "KiB", "")
	row(b, fmt.Sprintf("%d pods known", knownPods), took.Seconds(), "s", "")
	row(b, "controller, resident, before", before, "MiB", "")
	row(b, fmt.Sprintf("controller, resident, with %d pods known", knownPods), after, "MiB", "< 150")
}
