package kubernetes_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/kubernetes"
)

// guard has the API server ask a server of the test about pods that are made in a namespace.
// mutating: that may change them.
func guard(t *testing.T, namespace string, mutating bool, answer func(response map[string]any)) (url string) {
	t.Helper()
	hold := make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			<-hold
			return
		}
		var review struct{ Request struct{ UID string } }
		text, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(text, &review)
		}
		if err != nil {
			t.Error(err)
		}
		response := map[string]any{"uid": review.Request.UID}
		answer(response)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
	}))
	t.Cleanup(func() { close(hold); server.Close() })
	kind := "ValidatingWebhookConfiguration"
	if mutating {
		kind = "MutatingWebhookConfiguration"
	}
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	lab.Ctl(t, fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: %s
metadata: {name: %s}
webhooks:
- name: guard.example.org
  clientConfig: {url: %q, caBundle: %s}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[2]s}}
  failurePolicy: Fail
  timeoutSeconds: 1
  sideEffects: None
  admissionReviewVersions: [v1]
`, kind, namespace, server.URL+"/ask", ca), "apply", "-f", "-")
	t.Cleanup(func() { lab.Ctl(t, "", "delete", kind, namespace) })
	return server.URL
}

// asked repeats a dry run until the API server asks the guard: it learns of one by itself.
func asked(t *testing.T, p *kubernetes.Provider) {
	t.Helper()
	computetest.Eventually(t, "the guard is asked", func() error {
		if _, err := p.Probe(t.Context(), compute.Spec{}); err == nil {
			return errors.New("nobody minds")
		}
		return nil
	})
}

// TestWebhookRefuses has a webhook's no be told in its own words, at once and as final, whatever
// status and words it chose; for a sandbox too, whose pod another makes.
func TestWebhookRefuses(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"pod", "sandbox"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := site(t)
			o.Kind = kind
			const says = "no computers on Sundays: exceeded quota of patience"
			guard(t, o.Namespace, false, func(r map[string]any) {
				r["allowed"], r["status"] = false, map[string]any{"message": says, "code": http.StatusTooManyRequests}
			})
			p := open(t, o)
			if kind == "pod" {
				asked(t, p)
				_, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
				if !errors.Is(err, compute.ErrDenied) || !provider.WasUnasked(err) ||
					!strings.Contains(err.Error(), says) || !strings.Contains(compute.Hint(err), "webhook") {
					t.Errorf("refused: %v (%s)", err, compute.Hint(err))
				}
				return
			}
			if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"}); err != nil {
				t.Fatal(err)
			}
			want(t, compute.ErrDenied, says, func() error { return second(p.Connect(t.Context(), "suite-1")) })
		})
	}
}

// TestWebhookHangs has one that does not answer be a trouble that passes.
func TestWebhookHangs(t *testing.T) {
	t.Parallel()
	o := site(t)
	url := guard(t, o.Namespace, false, func(r map[string]any) { r["allowed"] = true })
	lab.Ctl(
		t, "", "patch", "validatingwebhookconfiguration", o.Namespace, "--type=json", "-p",
		fmt.Sprintf(`[{"op":"replace","path":"/webhooks/0/clientConfig/url","value":%q}]`, url+"/hang"),
	)
	p := open(t, o)
	asked(t, p)
	_, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
	if !errors.Is(err, compute.ErrUnavailable) || provider.WasUnasked(err) ||
		!strings.Contains(err.Error(), "guard.example.org") || !strings.Contains(compute.Hint(err), "webhook") {
		t.Errorf("it hangs: %v (%s)", err, compute.Hint(err))
	}
}

// TestWebhookAdds has a pod that a webhook put a container and labels into be the same instance,
// entered where it was meant; and that one ends when its own container does.
func TestWebhookAdds(t *testing.T) {
	t.Parallel()
	o := site(t)
	guard(t, o.Namespace, true, func(r map[string]any) {
		patch := `[{"op":"add","path":"/spec/containers/0","value":{"name":"mesh","image":"mesh:1"}},{"op":"add","path":"/metadata/labels/mesh","value":"yes"},
			{"op":"add","path":"/metadata/annotations/mesh","value":"yes"}]`
		r["allowed"], r["patchType"], r["patch"] = true, "JSONPatch", base64.StdEncoding.EncodeToString([]byte(patch))
	})
	p := open(t, o)
	var name, id string
	computetest.Eventually(t, "a pod has the container", func() error {
		id = fmt.Sprint("suite-", len(id)+1)
		in, err := p.Create(t.Context(), compute.Spec{ID: compute.ID(id)})
		if err != nil {
			return err
		}
		name = strings.TrimPrefix(in.ProviderID, o.Namespace+"/")
		if got := lab.Ctl(t, "", "get", "pod", name, "-n", o.Namespace, "-o", "jsonpath={.spec.containers[*].name}"); got != "mesh main" {
			return errors.New(got)
		}
		return nil
	})
	enter(t, p, compute.ID(id))
	list, err := p.List(t.Context())
	if n := len(list); err != nil || n == 0 || list[n-1].Facts[provider.FactImage] != "debian:13" {
		t.Errorf("List: %+v %v", list, err)
	}
	if got := p.EntersContainer(t, compute.ID(id)); got != "main" {
		t.Errorf("commands run in %s", got)
	}
	if err := p.Check(t.Context(), compute.ID(id)); err != nil {
		t.Errorf("Check: %v", err)
	}
	lab.Ctl(t, "", "patch", "pod", name, "-n", o.Namespace, "--subresource=status", "--type=merge", "-p",
		`{"status":{"containerStatuses":[{"name":"mesh","image":"mesh:1","imageID":"","ready":true,"restartCount":0,`+
			`"state":{"running":{}}},{"name":"main","image":"debian:13","imageID":"","ready":false,"restartCount":0,`+
			`"state":{"terminated":{"exitCode":3}}}]}}`)
	want(t, compute.ErrFailed, "container main ended with status 3", func() error { return p.Check(t.Context(), compute.ID(id)) })
}

// TestPolicyRefuses has an admission policy's no be told in its own words.
func TestPolicyRefuses(t *testing.T) {
	t.Parallel()
	o := site(t)
	lab.Ctl(t, fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  validations: [{expression: "'team' in object.metadata.labels", message: "say whose it is, by the label team"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec: {policyName: %[1]s, validationActions: [Deny], matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}}}
`, o.Namespace), "apply", "-f", "-")
	t.Cleanup(func() {
		lab.Ctl(t, "", "delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", o.Namespace)
	})
	p := open(t, o)
	asked(t, p)
	_, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
	if !errors.Is(err, compute.ErrDenied) || !provider.WasUnasked(err) ||
		!strings.Contains(err.Error(), "say whose it is, by the label team") || !strings.Contains(compute.Hint(err), "policy") {
		t.Errorf("refused: %v (%s)", err, compute.Hint(err))
	}
	_ = p.Close()
	o.Labels = []string{"team=build"}
	ready(t, open(t, o), "suite-2")
}

// TestPodSecurity has what a namespace's standard forbids be said at once, and what security =
// strict makes be let in.
func TestPodSecurity(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"pod", "sandbox"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := site(t)
			o.Kind = kind
			lab.Ctl(t, "", "label", "namespace", o.Namespace, "pod-security.kubernetes.io/enforce=restricted")
			ready(t, open(t, o), "suite-1")
			o.Security = "baseline"
			p := open(t, o)
			want(t, compute.ErrInvalid, `violates PodSecurity "restricted:latest"`, func() error {
				if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-2"}); err != nil || kind == "pod" {
					return err
				}
				return second(p.Connect(t.Context(), "suite-2"))
			})
		})
	}
}

// TestAbsent has what a source names and the cluster does not have be said at once.
func TestAbsent(t *testing.T) {
	t.Parallel()
	o := site(t)
	for _, c := range []struct {
		name, says string
		change     func(*kubernetes.Options)
	}{
		{"service account", `serviceaccount "gone" not found`, func(o *kubernetes.Options) { o.Account = "gone" }},
		{"runtime class", `RuntimeClass "gone" not found`, func(o *kubernetes.Options) { o.Runtime = "gone" }},
		{"priority class", `no PriorityClass with name gone was found`, func(o *kubernetes.Options) { o.Priority = "gone" }},
		{
			"volume claim", `persistentvolumeclaim "gone" not found`,
			func(o *kubernetes.Options) { o.Volumes = []string{"claim:gone:/data"} },
		},
		{"namespace", `namespaces "gone" not found`, func(o *kubernetes.Options) { o.Namespace, o.Network = "gone", "open" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := o
			o.Source = "suite-" + strings.ReplaceAll(c.name, " ", "-")
			o.Schedule = 1e18 // nobody waits for it
			c.change(&o)
			p := open(t, o)
			id := compute.ID(o.Source + "-1")
			_, err := p.Create(t.Context(), compute.Spec{ID: id})
			if c.name != "volume claim" { // the scheduler looks for those
				if !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), c.says) ||
					!provider.WasUnasked(err) || compute.Hint(err) == "" {
					t.Errorf("Create: %v (%s)", err, compute.Hint(err))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want(t, compute.ErrInvalid, c.says, func() error { return second(p.Connect(t.Context(), id)) })
		})
	}
}

// TestStarts has pods that do not start on their node say why, as its kubelet tells, at once where
// no waiting helps. Nobody plays the nodes meanwhile but the test.
func TestStarts(t *testing.T) {
	o := site(t)
	p := open(t, o)
	if _, err := p.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	lab.Stop(t, "kwok")
	t.Cleanup(func() {
		if err := lab.Up(); err != nil {
			t.Error(err)
		}
	})
	for n, c := range []struct {
		reason, message string
		kind            error
		event           bool
	}{
		{
			"ErrImagePull", `failed to pull and unpack image "r.example.org/a:1": dial tcp 192.0.2.1:443: i/o timeout`,
			compute.ErrNotReady, false,
		},
		{"ErrImagePull", `failed to resolve reference "r.example.org/a:1": r.example.org/a:1: not found`, compute.ErrFailed, false},
		{"ImagePullBackOff", `Back-off pulling image "r.example.org/a:1": ErrImagePull: i/o timeout`, compute.ErrFailed, false},
		{"InvalidImageName", `Failed to apply default image tag "A B": couldn't parse image name`, compute.ErrFailed, false},
		{"CreateContainerConfigError", `secret "token" not found`, compute.ErrFailed, false},
		{"FailedMount", `MountVolume.SetUp failed for volume "hostler-volume-0" : secret "token" not found`, compute.ErrInvalid, true},
	} {
		t.Run(c.reason, func(t *testing.T) {
			id := compute.ID(fmt.Sprint("suite-", n+1))
			in, err := p.Create(t.Context(), compute.Spec{ID: id})
			if err != nil {
				t.Fatal(err)
			}
			name := strings.TrimPrefix(in.ProviderID, o.Namespace+"/")
			computetest.Eventually(t, "it has a node", func() error {
				if lab.Ctl(t, "", "get", "pod", name, "-n", o.Namespace, "-o", "jsonpath={.spec.nodeName}") == "" {
					return errors.New("it has none")
				}
				return nil
			})
			waiting := map[string]string{"reason": c.reason, "message": c.message}
			if c.event {
				waiting = map[string]string{"reason": "ContainerCreating"}
				uid := lab.Ctl(t, "", "get", "pod", name, "-n", o.Namespace, "-o", "jsonpath={.metadata.uid}")
				lab.Ctl(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"Event","metadata":{"name":"mount"},`+
					`"type":"Warning","reason":%q,"message":%q,"lastTimestamp":"2026-01-01T00:00:00Z",`+
					`"involvedObject":{"apiVersion":"v1","kind":"Pod","namespace":%q,"name":%q,"uid":%q}}`,
					c.reason, c.message, o.Namespace, name, uid), "create", "-n", o.Namespace, "-f", "-")
			}
			status, err := json.Marshal(map[string]any{"status": map[string]any{"containerStatuses": []any{map[string]any{
				"name": "main", "image": "debian:13", "imageID": "", "ready": false, "restartCount": 0,
				"state": map[string]any{"waiting": waiting}}}}})
			if err != nil {
				t.Fatal(err)
			}
			lab.Ctl(t, "", "patch", "pod", name, "-n", o.Namespace, "--subresource=status", "--type=merge", "-p", string(status))
			if c.event {
				_ = second(p.Connect(t.Context(), id)) // from now on it is slow
				p.Slow(id)
			}
			want(t, c.kind, c.message, func() error { return second(p.Connect(t.Context(), id)) })
		})
	}
}
