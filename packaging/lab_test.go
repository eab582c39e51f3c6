package packaging_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/store/postgres/pgtest"
)

// certificate makes one for this machine, and its key.
func certificate(t testing.TB) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hostler"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// namespace makes one of the test's own for controllers, which takes restricted pods alone, and
// names another, that the chart makes for the pods of sources.
func namespace(t testing.TB) (controllers, sources string) {
	t.Helper()
	controllers = lab.Namespace(t, "pod-security.kubernetes.io/enforce=restricted")
	sources = controllers + "-pods"
	t.Cleanup(func() { lab.Ctl(t, "", "delete", "namespace", sources, "--wait=false", "--ignore-not-found") })
	return controllers, sources
}

// definitions are those of others' objects that the chart may make: no more of them than what it
// writes, so that a slip in a name is seen.
const definitions = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: ServiceMonitor, plural: servicemonitors, singular: servicemonitor, listKind: ServiceMonitorList}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: certificates.cert-manager.io}
spec:
  group: cert-manager.io
  names: {kind: Certificate, plural: certificates, singular: certificate, listKind: CertificateList}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}
`

// TestValidated has the API server look at what comes of all values: every field is one that it
// knows, and admission takes it.
func TestValidated(t *testing.T) {
	home, away := namespace(t)
	// so that there is one when what is in it is looked at
	lab.Ctl(t, "", "create", "namespace", away)
	lab.Ctl(t, definitions, "apply", "-f", "-")
	lab.Ctl(t, "", "wait", "--for=condition=Established", "crd/servicemonitors.monitoring.coreos.com", "crd/certificates.cert-manager.io")
	if got, want := objects(t, lab.Ctl(t, "", "kustomize", "kubernetes")), objects(t, mustRender(t, "hostler", "")); len(got) != len(want) {
		t.Errorf("kustomize makes %d objects of the plain manifests, not %d", len(got), len(want))
	}
	for name, values := range map[string]string{
		"plain": "",
		"one":   "{replicas: 1, networkPolicy: {make: false}, serviceAccount: {make: false, name: mine}}",
		"all": `
image: {repository: registry.example.org/hostler, tag: v1, pullPolicy: Always, pullSecrets: [login]}
replicas: 3
database: {secret: pg-app, key: uri}
tls: {secret: cert, issuer: {name: ca, kind: ClusterIssuer}, names: [hostler.example.org]}
token: {secret: token}
config: "[defaults]\nsource = pods\n"
pods: {kinds: [pod, sandbox, claim, warm-pool], make: false}
serviceAccount: {name: keeper, annotations: {a: b}}
service: {type: LoadBalancer, port: 7070, annotations: {a: b}}
ingress: {host: hostler.example.org, class: nginx, secret: ingress-cert, annotations: {nginx.ingress.kubernetes.io/backend-protocol: HTTPS}}
networkPolicy: {from: [{namespaceSelector: {matchLabels: {team: build}}}, {ipBlock: {cidr: 10.0.0.0/8}}]}
metrics: {secret: meter, labels: {release: prometheus}}
drain: 30
disruption: {minAvailable: 50%}
podAnnotations: {a: b}
podLabels: {c: d}
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: dedicated, operator: Exists}]
affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {matchExpressions: [{key: a, operator: Exists}]}}]}}
priorityClass: system-cluster-critical
extraArgs: [--no-fill]
extraEnv: [{name: A, value: b}]
extraVolumes: [{name: keys, secret: {secretName: keys}}]
extraMounts: [{name: keys, mountPath: /keys, readOnly: true}]
files: {sources/web/source.conf: "type = fake\n", sources/web/provision.d/10: "#!/bin/sh\n"}
`,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "namespace.yaml")
			if err := os.WriteFile(file, []byte("pods: {namespaces: ["+away+"]}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			text := mustRender(t, home, values, "-f", file, "-api", "monitoring.coreos.com/v1/ServiceMonitor")
			said := lab.Ctl(t, text, "apply", "--dry-run=server", "--validate=strict", "-f", "-")
			for _, want := range strings.Fields(map[string]string{
				"plain": "poddisruptionbudget networkpolicy namespace",
				"all":   "servicemonitor certificate ingress poddisruptionbudget", "one": "deployment",
			}[name]) {
				if !strings.Contains(said, want) {
					t.Errorf("no %s: %s", want, said)
				}
			}
			if name == "one" &&
				(strings.Contains(said, "disruption") || strings.Contains(said, "serviceaccount") ||
					strings.Contains(said, "networkpolicy")) {
				t.Errorf("too much: %s", said)
			}
		})
	}
}

// TestControllers installs the chart, and is the node that runs its two controllers: with their
// service account's rights they make pods and let people into them; the one that directs is killed,
// the other one directs, leases stay, also that of an object, and what is given back is replaced.
func TestControllers(t *testing.T) {
	for _, tool := range []string{"unshare", "setpriv", "chroot"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool, "is not installed here")
		}
	}
	if os.Getuid() != 0 {
		t.Skip("only root can be a node")
	}
	home, away := namespace(t)
	server := pgtest.Start(t)
	if err := os.Chmod(server.Dir(), 0o711); err != nil { // its socket is for others too
		t.Fatal(err)
	}
	dsn := strings.Replace(server.Database(t), url.QueryEscape(server.Dir()), "/postgres", 1)
	cert, key := certificate(t)
	const token = "a-token-of-the-controllers-own-user-0123456789"
	var secrets []any
	for name, data := range map[string]map[string]string{
		"hostler-database": {"url": dsn}, "hostler-tls": {"tls.crt": cert, "tls.key": key},
		"hostler-token": {"token": token},
	} {
		secrets = append(
			secrets,
			map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": name}, "stringData": data},
		)
	}
	lab.Ctl(t, listed(t, secrets), "create", "-f", "-", "-n", home)
	values := fmt.Sprintf(`
token: {secret: hostler-token}
drain: 1
pods: {namespaces: [%s]}
customResources: {namespaces: [%[1]s]}
files:
  sources/pods/source.conf: |
    type = kubernetes
    spare = 2
    maximum = 5
    [kubernetes]
    namespace = %[1]s
    image = debian:13
`, away)
	lab.Ctl(t, mustRender(t, home, values), "apply", "--validate=strict", "-f", "-")
	lab.Ctl(t, "", "rollout", "status", "deployment/hostler", "-n", home, "--timeout=60s")
	text, err := os.ReadFile(lab.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	_, at, _ := strings.Cut(string(text), "server: ")
	address, err := url.Parse(strings.Trim(strings.Fields(at)[0], `",}`))
	if err != nil {
		t.Fatal(err)
	}
	node := kubelet{
		program: lab.Program(t, "hostler", "-ldflags", "-s -w", "../cmd/hostlerd"), share: server.Dir(), server: address,
		content: contents(t, home),
	}
	var all []*running
	for _, p := range pods(t, home, "app.kubernetes.io/name=hostler", 2) {
		all = append(all, node.run(t, p))
	}
	trusted := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(trusted, []byte(cert), 0o600); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(cert))
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, Timeout: 10 * time.Second}
	defer web.CloseIdleConnections()
	ready := func(r *running) error {
		probe := r.pod.Spec.Containers[0].ReadinessProbe.HTTPGet
		answer, err := web.Get(strings.ToLower(probe.Scheme) + "://" + r.at + probe.Path)
		if err == nil && answer.StatusCode != http.StatusOK {
			err = errors.New(answer.Status)
		}
		if answer != nil {
			_ = answer.Body.Close()
		}
		return err
	}
	ask := func(r *running, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), node.program, args...)
		cmd.Env = []string{
			"HOME=" + filepath.Dir(trusted), "PATH=" + os.Getenv("PATH"), "HOSTLER_CONTROLLER=https://" + r.at,
			"HOSTLER_TOKEN=" + token, "SSL_CERT_FILE=" + trusted,
		}
		cmd.Dir = filepath.Dir(trusted)
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("hostler %q: %v: %s%s", args, err, out, &said)
		}
		return strings.TrimSpace(string(out))
	}
	for _, r := range all {
		computetest.Eventually(t, "it is ready", func() error { return ready(r) })
	}
	made := func(n int) []pod { t.Helper(); return pods(t, away, "hostler-project.github.io/source=pods", n) }
	made(2) // spare
	if got := all[0].exec(t, "/usr/local/bin/hostler", "status", "pods", "--query", "max"); got != "5" {
		t.Errorf("status in the pod: %q", got)
	}
	if got := all[0].exec(t, "/usr/local/bin/hostler", "doctor", "-s", "pods"); strings.Contains(got, "may not") {
		t.Errorf("doctor in the pod: %s", got)
	} else {
		t.Log(got)
	}

	leader := all[0]
	computetest.Eventually(t, "one directs", func() error {
		i := slices.IndexFunc(all, func(r *running) bool { return strings.Contains(r.text(), `"msg":"directing"`) })
		if i < 0 {
			return errors.New("none says so")
		}
		leader = all[i]
		return nil
	})
	other := all[0]
	if other == leader {
		other = all[1]
	}
	mine := ask(other, "acquire", "-s", "pods", "--name", "kept")
	if got := ask(leader, "run", "kept", "--", "echo", "through the leader"); got != "through the leader" {
		t.Errorf("run: %q", got)
	}
	lab.Ctl(t, lease, "create", "-n", away, "-f", "-")
	lab.Ctl(t, "", "wait", "--for=condition=Leased", "hl/build", "-n", away, "--timeout=60s")
	byObject := lab.Ctl(t, "", "get", "hl/build", "-n", away, "-o", "jsonpath={.status.instance}")
	if byObject == "" || byObject == mine {
		t.Errorf("the object has leased %q, beside %s", byObject, mine)
	}
	made(4)

	leader.kill()
	killed := time.Now()
	other.said(t, `"msg":"directing"`)
	t.Logf("the other one directs %v after the kill", time.Since(killed).Round(time.Millisecond))
	if err := ready(other); err != nil {
		t.Error("the other one is not ready:", err)
	}
	if got := ask(other, "run", "kept", "--", "echo", "through the other"); got != "through the other" {
		t.Errorf("run after the kill: %q", got)
	}
	second := ask(other, "acquire", "-s", "pods")
	if second == mine || second == byObject {
		t.Errorf("%s is leased twice", second)
	}
	made(5) // the one that directs now has made another
	again := node.run(t, leader.pod)
	computetest.Eventually(t, "the killed one is ready again", func() error { return ready(again) })
	ask(again, "release", mine, second)
	// it returns when the lease is given back
	lab.Ctl(t, "", "delete", "hl/build", "-n", away, "--timeout=60s")
	left := made(2)
	for _, p := range left {
		if got := p.Metadata.Annotations["hostler-project.github.io/instance"]; got == mine || got == second || got == byObject {
			t.Errorf("%s was used and is there still", got)
		}
	}
	rights(t, home, away)
	other.stop(t)
	again.said(t, `"msg":"directing"`)
	again.stop(t)
}

// lease is an object that asks for one.
const lease = `{apiVersion: hostler-project.github.io/v1alpha1, kind: Lease, metadata: {name: build}, spec: {source: pods}}`

// listed is several objects as one text.
func listed(t testing.TB, items []any) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rights asks the API server whether the service account may what nobody needs.
func rights(t *testing.T, home, away string) {
	t.Helper()
	type right struct{ verb, group, resource, sub, namespace string }
	all := []right{
		// it may: the question is asked rightly
		{"create", "", "pods", "", away}, {"create", "", "secrets", "", away},
		{"get", "", "secrets", "", home}, {"get", "", "secrets", "", away}, {"create", "", "secrets", "", home},
		{"get", "", "configmaps", "", home}, {"create", "", "pods", "", home},
		{"create", "", "pods", "exec", home}, {"create", "", "pods", "", "default"}, {"list", "", "pods", "", ""},
		{"deletecollection", "", "pods", "", away}, {"patch", "", "pods", "", away},
		{"deletecollection", "networking.k8s.io", "networkpolicies", "", away},
		{"delete", "networking.k8s.io", "networkpolicies", "", home},
		{"create", "", "serviceaccounts", "token", home}, {"create", "", "namespaces", "", ""},
		{"create", "rbac.authorization.k8s.io", "rolebindings", "", away}, {"list", "", "nodes", "", ""},
		{"list", "hostler-project.github.io", "leases", "", home},
	}
	const allowed = 2
	var reviews []any
	for _, r := range all {
		reviews = append(reviews, map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": map[string]any{
			"user":   "system:serviceaccount:" + home + ":hostler",
			"groups": []string{"system:serviceaccounts", "system:serviceaccounts:" + home, "system:authenticated"},
			"resourceAttributes": map[string]any{
				"verb": r.verb, "group": r.group, "resource": r.resource, "subresource": r.sub, "namespace": r.namespace,
			},
		}})
	}
	may := strings.Fields(lab.Ctl(t, listed(t, reviews), "create", "-f", "-", "-o", `jsonpath={.status.allowed}{"\n"}`))
	if len(may) != len(all) {
		t.Fatalf("%d answers to %d questions: %q", len(may), len(all), may)
	}
	for i, r := range all {
		if may[i] != fmt.Sprint(i < allowed) {
			t.Errorf("%+v: allowed is %s", r, may[i])
		}
	}
}
