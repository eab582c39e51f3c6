package kubernetes

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/kubernetes/manifest"
)

// opened is a provider whose cluster is never asked.
func opened(t *testing.T, o Options) *Provider {
	t.Helper()
	o.Installation, o.Source = "inst", "web"
	p, err := open(t.Context(), nil, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	p.c.namespace = "ns"
	return p
}

// at returns what is at a path of a document: "spec.containers.0.image".
func at(t *testing.T, doc any, path string) any {
	t.Helper()
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	for _, key := range strings.Split(path, "/") {
		switch x := v.(type) {
		case map[string]any:
			v = x[key]
		case []any:
			var i int
			if err := json.Unmarshal([]byte(key), &i); err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

// TestManifest holds what a pod is made of to what the keys, the template and a request say.
func TestManifest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pod.yaml")
	err := os.WriteFile(file, []byte(`
kind: Pod
metadata: {name: mine, uid: x, labels: {app: build}, ownerReferences: [{name: other}]}
spec:
  nodeName: fixed
  serviceAccountName: default
  hostNetwork: true
  containers:
  - {name: side, image: side:1, command: [side]}
  - {name: work, image: work:1, resources: {requests: {cpu: 100m, memory: 1Gi}}, securityContext: {privileged: true}, env: [{name: A, value: b}]}
status: {phase: Running}
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		o    Options
		spec compute.Spec
		want map[string]any
	}{
		{"bare", Options{Image: "debian:13"}, compute.Spec{ID: "web-1"}, map[string]any{
			"metadata/namespace":      "ns",
			"spec/containers/0/image": "debian:13", "spec/containers/0/name": "main", "spec/restartPolicy": "Never",
			"spec/automountServiceAccountToken": false, "spec/hostname": "web-1",
			"spec/securityContext/runAsNonRoot": true, "spec/securityContext/runAsUser": 1000.0,
			"spec/containers/0/securityContext/allowPrivilegeEscalation": false,
			"spec/containers/0/securityContext/capabilities/drop/0":      "ALL",
			"spec/securityContext/seccompProfile/type":                   "RuntimeDefault", "spec/containers/0/command/0": "sh",
			"spec/containers/0/resources": nil,
			"spec/volumes/0/name":         "hostler", "spec/containers/0/volumeMounts/0/mountPath": "/hostler",
			"spec/terminationGracePeriodSeconds": 1.0,
		}},
		{"template", Options{Template: file, Container: "work", Cores: 0.5, Security: "baseline"},
			compute.Spec{ID: "Web_2", Memory: 2 << 30, Image: "asked:1"}, map[string]any{
				"metadata/uid": nil, "metadata/ownerReferences": nil, "metadata/labels/app": "build", "spec/nodeName": nil,
				"spec/serviceAccountName": nil, "spec/hostNetwork": nil, "status": nil,
				"spec/containers/0/image": "side:1", "spec/containers/0/resources": nil,
				"spec/containers/1/image": "asked:1", "spec/hostname": nil,
				"spec/containers/1/resources/requests/cpu": "500m", "spec/containers/1/resources/limits/cpu": "500m",
				"spec/containers/1/resources/limits/memory":    "2147483648",
				"spec/containers/1/securityContext/privileged": nil, "spec/containers/1/env/0/value": "b",
				"spec/securityContext/runAsNonRoot": nil, "spec/containers/1/command/0": "sh",
			}},
		{"everything", Options{
			Image: "i", Selector: []string{"disk=ssd"}, Tolerations: []string{"build=yes:NoSchedule", "*"},
			Runtime: "gvisor", Priority: "low", Account: "sa", PullPolicy: "never", PullSecrets: []string{"reg"},
			Env: []string{"X=y"}, Labels: []string{"team=a"}, Annotations: []string{"note=some words"},
			Volumes: []string{"claim:data:/data:ro", "memory:64M:/fast"}, User: 7, AgentIn: "agent:1", Disk: 1 << 30,
		}, compute.Spec{ID: "web-3", Location: "zone-a", GPUs: 2}, map[string]any{
			"spec/nodeSelector/disk": "ssd", "spec/tolerations/0/effect": "NoSchedule",
			"spec/tolerations/0/operator": "Equal", "spec/tolerations/1/operator": "Exists",
			"spec/runtimeClassName":  "gvisor",
			"spec/priorityClassName": "low", "spec/serviceAccountName": "sa", "spec/automountServiceAccountToken": true,
			"spec/imagePullSecrets/0/name": "reg", "spec/containers/0/imagePullPolicy": "Never",
			"metadata/labels/team": "a", "metadata/annotations/note": "some words",
			"spec/volumes/1/persistentVolumeClaim/claimName": "data",
			"spec/containers/0/volumeMounts/1/readOnly":      true,
			"spec/volumes/2/emptyDir/medium":                 "Memory", "spec/volumes/2/emptyDir/sizeLimit": "64Mi",
			"spec/securityContext/runAsUser": 7.0, "spec/securityContext/fsGroup": 7.0,
			"spec/initContainers/0/image":                                    "agent:1",
			"spec/initContainers/0/securityContext/allowPrivilegeEscalation": false,
			"spec/containers/0/command/0":                                    "/hostler/.agent",
			"spec/containers/0/resources/limits/ephemeral-storage":           "1073741824",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := opened(t, c.o)
			u, err := p.build.manifest(c.spec)
			if err != nil {
				t.Fatal(err)
			}
			for path, want := range c.want {
				if got := at(t, u.Object, path); got != want {
					t.Errorf("%s is %v, not %v", path, got, want)
				}
			}
			labels, notes := u.GetLabels(), u.GetAnnotations()
			if labels[labelInstallation] != "inst" || labels[labelSource] != "web" ||
				notes[noteInstance] != string(c.spec.ID) || notes[noteSource] != "web" {
				t.Errorf("labels %v, annotations %v", labels, notes)
			}
			if name := u.GetName(); !manifest.IsObjectName(name) || len(name) > 63 {
				t.Errorf("the pod's name is %q", name)
			}
		})
	}
}

// TestNames has different instances, sources and installations never share a pod's name.
func TestNames(t *testing.T) {
	p := opened(t, Options{Image: "i"})
	seen := map[string]string{}
	for _, id := range []string{
		"web-1", "Web-1", "web_1", "web.1", "1", "-", "ä", "web-" + strings.Repeat("x", 300),
		"web-" + strings.Repeat("x", 299),
	} {
		name := p.podName(compute.ID(id))
		if !manifest.IsObjectName(name) || len(name) > 63 {
			t.Errorf("%q is the pod %q", id, name)
		}
		if other, there := seen[name]; there {
			t.Errorf("%q and %q are both %s", id, other, name)
		}
		seen[name] = id
	}
}

// TestOptions has what is wrong be refused, with the key in the words, and no secret.
func TestOptions(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for want, o := range map[string]Options{
		"security = loose":        {Security: "loose"},
		"network = all":           {Network: "all"},
		"way = ssh":               {Way: "ssh"},
		"pull = now":              {PullPolicy: "now"},
		"namespace = A_b":         {Namespace: "A_b"},
		"node-selector: \"disk\"": {Selector: []string{"disk"}},
		"labels: \"a=b c\"":       {Labels: []string{"a=b c"}},
		"hostler-project.github.io/source is ours": {Labels: []string{"hostler-project.github.io/source=x"}},
		"tolerations: \"a=b:Never\"":               {Tolerations: []string{"a=b:Never"}},
		"volumes: \"host:/:/\"":                    {Volumes: []string{"host:/:/"}},
		"volumes: \"claim:x:/\"":                   {Volumes: []string{"claim:x:/"}},
		"volumes: \"empty:lots:/a\"":               {Volumes: []string{"empty:lots:/a"}},
		"egress: \"example.org\"":                  {Egress: []string{"example.org"}},
		"egress: \"10.0.0.0/8:0\"":                 {Egress: []string{"10.0.0.0/8:0"}},
		"network: the template of warm-pool":       {Kind: "claim", WarmPool: "warm", Network: "none"},
		"security: the template of warm-pool":      {Kind: "claim", WarmPool: "warm", Security: "strict"},
		"with network = open":                      {Network: "open", Egress: []string{"10.0.0.0/8"}},
		"env: \"=secret\"":                         {Env: []string{"=secret"}},
		"less than nothing":                        {Cores: -1},
		"kubeconfig: config is no absolute path":   {Kubeconfig: "config"},
		"template: pod.yaml is no absolute path":   {Template: "pod.yaml"},
		"it is a Deployment":                       {Template: write("a", "kind: Deployment\nspec: {}")},
		"spec.containers is no list":               {Template: write("b", "spec: {containers: {a: b}}")},
		"no such file":                             {Template: filepath.Join(dir, "none")},
		"already set":                              {Template: write("c", "spec: {a: 1, a: 2}")},
	} {
		o.Installation, o.Source = "inst", "web"
		p, err := open(t.Context(), nil, o)
		if err == nil {
			_ = p.Close()
			_, err = o.Look()
		}
		if err == nil {
			t.Errorf("%s: taken", want)
			continue
		}
		if want == "env: \"=secret\"" {
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("a value of env is said: %v", err)
			}
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
}

// TestEgress reads what may be reached.
func TestEgress(t *testing.T) {
	p := opened(t, Options{Image: "i", Egress: []string{"10.1.2.3/8", "[2001:db8::/32]:443", "dns"}})
	policy := p.policies.policy()
	for path, want := range map[string]any{
		"spec/egress/0/to/0/ipBlock/cidr": "10.0.0.0/8", "spec/egress/0/ports": nil,
		"spec/egress/1/to/0/ipBlock/cidr": "2001:db8::/32", "spec/egress/1/ports/0/port": 443.0,
		"spec/egress/2/to/0/podSelector/matchLabels/k8s-app": "kube-dns", "spec/egress/2/ports/1/port": 53.0,
		"spec/policyTypes/0": "Ingress", "spec/policyTypes/1": "Egress", "spec/ingress/0": nil,
	} {
		if got := at(t, policy.Object, path); got != want {
			t.Errorf("%s is %v, not %v", path, got, want)
		}
	}
	if opened(t, Options{Image: "i", Network: "open"}).policies.policy() != nil {
		t.Error("network = open has a policy")
	}
}
