package manifest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/provider"
)

// The Pod Security standards: https://kubernetes.io/docs/concepts/security/pod-security-standards.
//
// All containers of a template get what the level demands, whatever they say. A pod that could not
// work with that is refused.

// allowedCapabilities are those that "baseline" allows containers to add.
var allowedCapabilities = []string{
	"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID",
	"SETPCAP", "SETUID", "SYS_CHROOT",
}

// safeSysctls are those that "baseline" allows pods to set.
var safeSysctls = []string{
	"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
	"net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
	"net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
	"net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
}

// strictVolumes are the kinds of volumes that "restricted" allows. "baseline" allows all but
// hostPath.
var strictVolumes = []string{
	"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
}

// Security is what the keys say of what a pod may do to its node.
type Security struct {
	// strict is the Pod Security standard "restricted", baseline is "baseline", and template what
	// the template says
	Level string
	User  int64 // the number of the user that commands run as; 0: any
}

// Apply limits a pod. s is its spec, c our container in it, and notes its annotations.
func (sec Security) Apply(notes, s, c map[string]any) error {
	if sec.Level == "template" {
		if sec.User > 0 {
			Child(c, "securityContext")["runAsUser"] = sec.User
		}
		return nil
	}
	if err := sec.unfit(s); err != nil {
		return err
	}
	maps.DeleteFunc(notes, func(key string, _ any) bool {
		return strings.HasPrefix(key, "container.apparmor.security.beta.kubernetes.io/")
	})
	strict := sec.Level == "strict"
	of := Child(s, "securityContext")
	confine(of)
	of["seccompProfile"] = map[string]any{"type": "RuntimeDefault"}
	if list, ok := of["sysctls"].([]any); ok {
		of["sysctls"] = slices.DeleteFunc(list, func(v any) bool { return !slices.Contains(safeSysctls, textOf(v, "name")) })
	}
	for _, key := range []string{"hostNetwork", "hostPID", "hostIPC"} {
		delete(s, key)
	}
	user := sec.User
	if strict {
		user = cmp.Or(user, 1000)
		of["runAsNonRoot"] = true
		Default(c, "workingDir", Home)
		if list, _ := c["env"].([]any); !slices.ContainsFunc(list, func(e any) bool { return textOf(e, "name") == "HOME" }) {
			Append(c, "env", map[string]any{"name": "HOME", "value": Home})
		}
	}
	if user > 0 {
		of["runAsUser"] = user
		Default(of, "fsGroup", user)
	}
	for _, one := range containers(s) {
		inside := Child(one.is, "securityContext")
		confine(inside)
		if sec.User > 0 && one.is["name"] == c["name"] {
			delete(inside, "runAsUser")
		}
		if strict {
			if fmt.Sprint(inside["runAsUser"]) == "0" {
				delete(inside, "runAsUser")
			}
			delete(inside, "runAsNonRoot") // the pod's value counts
			inside["allowPrivilegeEscalation"] = false
			inside["capabilities"] = map[string]any{"drop": []any{"ALL"}}
		} else if caps, ok := inside["capabilities"].(map[string]any); ok {
			if add, ok := caps["add"].([]any); ok {
				caps["add"] = slices.DeleteFunc(add, func(v any) bool { return !slices.Contains(allowedCapabilities, fmt.Sprint(v)) })
			}
		}
		if len(inside) == 0 {
			delete(one.is, "securityContext")
		}
	}
	return nil
}

// confine removes what a security context, of a pod or a container, must not say other than the pod
// does.
func confine(of map[string]any) {
	for _, key := range []string{"privileged", "procMount", "seccompProfile", "appArmorProfile", "seLinuxOptions", "windowsOptions"} {
		delete(of, key)
	}
}

// container is one of a pod's containers, with its path in the template.
type container struct {
	path string
	is   map[string]any
}

// containers lists a pod's containers, init containers first. It skips entries that are no
// objects.
func containers(s map[string]any) (out []container) {
	for _, key := range []string{"initContainers", "containers"} {
		list, _ := s[key].([]any)
		for i, c := range list {
			if c, ok := c.(map[string]any); ok {
				out = append(out, container{fmt.Sprintf("spec.%s[%d]", key, i), c})
			}
		}
	}
	return out
}

// textOf returns the text at a key of an object. "": there is none.
func textOf(v any, key string) string {
	of, _ := v.(map[string]any)
	text, _ := of[key].(string)
	return text
}

// unfit refuses what the level forbids and the template's pod could not work without.
func (sec Security) unfit(s map[string]any) error {
	var bad []string
	list, _ := s["volumes"].([]any)
	for i, v := range list {
		v, _ := v.(map[string]any)
		for kind := range v {
			if kind == "hostPath" || kind != "name" && sec.Level == "strict" && !slices.Contains(strictVolumes, kind) {
				bad = append(bad, fmt.Sprintf("spec.volumes[%d].%s", i, kind))
			}
		}
	}
	for _, one := range containers(s) {
		ports, _ := one.is["ports"].([]any)
		for i, v := range ports {
			if v, _ := v.(map[string]any); v["hostPort"] != nil && fmt.Sprint(v["hostPort"]) != "0" {
				bad = append(bad, fmt.Sprintf("%s.ports[%d].hostPort", one.path, i))
			}
		}
		hooks, _ := one.is["lifecycle"].(map[string]any)
		for path, of := range map[string]any{
			"livenessProbe": one.is["livenessProbe"], "readinessProbe": one.is["readinessProbe"], "startupProbe": one.is["startupProbe"],
			"lifecycle.postStart": hooks["postStart"], "lifecycle.preStop": hooks["preStop"],
		} {
			probe, _ := of.(map[string]any)
			for _, way := range []string{"httpGet", "tcpSocket"} {
				if textOf(probe[way], "host") != "" {
					bad = append(bad, one.path+"."+path+"."+way+".host")
				}
			}
		}
	}
	if len(bad) == 0 {
		return nil
	}
	slices.Sort(bad)
	return provider.WrongKey(
		"template", "take that out of the template, or set security = template",
		"template: security = %s does not allow %s", sec.Level, strings.Join(bad, ", "),
	)
}
