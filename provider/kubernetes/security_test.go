package kubernetes_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// hostile is a template that wants all that a pod can want of its node without a name in it of the
// node's own.
const hostile = `
kind: Pod
metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/main: unconfined}}
spec:
  hostPID: true
  hostNetwork: true
  hostIPC: true
  securityContext:
    runAsUser: 0
    runAsNonRoot: false
    seccompProfile: {type: Unconfined}
    appArmorProfile: {type: Unconfined}
    seLinuxOptions: {type: spc_t}
    sysctls: [{name: kernel.msgmax, value: "65536"}, {name: net.ipv4.tcp_syncookies, value: "1"}]
  initContainers: [{name: pre, image: pre, securityContext: {privileged: true}}]
  containers:
  - name: main
    image: i
    securityContext: {runAsUser: 0, runAsNonRoot: false, seccompProfile: {type: Unconfined}, appArmorProfile: {type: Unconfined}, readOnlyRootFilesystem: true}
  - {name: side, image: side, securityContext: {privileged: true, runAsUser: 0, capabilities: {add: [SYS_ADMIN, CHOWN]}, seLinuxOptions: {type: spc_t}}}
  - {name: plain, image: plain, securityContext: {runAsUser: 7, capabilities: {add: [NET_RAW]}}}
`

// TestStrict has what security says hold for whatever a template wants, in all of its containers:
// the API server lets such a pod into a namespace of that standard.
func TestStrict(t *testing.T) {
	t.Parallel()
	for level, standard := range map[string]string{"strict": "restricted", "baseline": "baseline"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			o := site(t)
			lab.Ctl(t, "", "label", "namespace", o.Namespace, "pod-security.kubernetes.io/enforce="+standard)
			o.Security, o.Template, o.AgentIn = level, manifest(t, hostile), "agent"
			if _, err := open(t, o).Create(t.Context(), compute.Spec{ID: "suite-1"}); err != nil {
				t.Fatal(err)
			}
			got := lab.Ctl(
				t, "", "get", "pods", "-n", o.Namespace, "-o",
				`jsonpath={.items[0].spec.containers[0].securityContext.readOnlyRootFilesystem} `+
					`{.items[0].spec.containers[2].securityContext.runAsUser} `+
					`{.items[0].spec.securityContext.sysctls[*].name} {.items[0].spec.containers[1].securityContext.capabilities.add}`,
			)
			want := "true 7 net.ipv4.tcp_syncookies "
			if level == "baseline" {
				want += `["CHOWN"]`
			}
			if got != want {
				t.Errorf("the pod has %s, not %s", got, want)
			}
		})
	}
}

// TestUnfit has what a template's pod would not work without, and a level does not allow, be
// refused with its path, before anything is asked.
func TestUnfit(t *testing.T) {
	t.Parallel()
	o := site(t)
	o.Template = manifest(t, `
kind: Pod
spec:
  containers:
  - {name: main, image: i}
  - {name: side, image: side, ports: [{containerPort: 80}, {containerPort: 81, hostPort: 81}], readinessProbe: {httpGet: {host: 169.254.169.254, port: 80}}}
  volumes: [{name: fine, emptyDir: {}}, {name: root, hostPath: {path: /}}, {name: nfs, nfs: {server: a, path: /}}]
`)
	for level, want := range map[string]string{
		"strict": "spec.containers[1].ports[1].hostPort, spec.containers[1].readinessProbe.httpGet.host, " +
			"spec.volumes[1].hostPath, spec.volumes[2].nfs",
		"baseline": "spec.containers[1].ports[1].hostPort, spec.containers[1].readinessProbe.httpGet.host, spec.volumes[1].hostPath",
		"template": "",
	} {
		o.Security = level
		_, err := open(t, o).Create(t.Context(), compute.Spec{ID: compute.ID("suite-" + level)})
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: err = %v", level, err)
		case want != "" &&
			(!errors.Is(err, compute.ErrInvalid) || !provider.WasUnasked(err) ||
				!strings.HasSuffix(fmt.Sprint(err), "does not allow "+want)):
			t.Errorf("%s: err = %v", level, err)
		}
	}
}
