package manifest

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/hostler-project/hostler/provider"
)

// IsLabel reports whether a text can be the key of a label.
func IsLabel(key string) bool { return len(validation.IsQualifiedName(key)) == 0 }

// IsLabelValue reports whether a text can be the value of a label.
func IsLabelValue(v string) bool { return len(validation.IsValidLabelValue(v)) == 0 }

// IsObjectName reports whether a text can be the name of an object.
func IsObjectName(name string) bool { return len(validation.IsDNS1123Subdomain(name)) == 0 }

// Toleration parses KEY[=VALUE][:EFFECT], or "*".
func Toleration(text string) (map[string]any, error) {
	rest, effect, hasEffect := strings.Cut(text, ":")
	key, value, equal := strings.Cut(rest, "=")
	out := map[string]any{"operator": "Exists"}
	switch {
	case text == "*":
		return out, nil
	case !IsLabel(key), !IsLabelValue(value),
		hasEffect && !slices.Contains([]string{"NoSchedule", "PreferNoSchedule", "NoExecute"}, effect):
		return nil, provider.WrongKey(
			"tolerations", "",
			"tolerations: %q is not KEY, KEY=VALUE, either with :NoSchedule, :PreferNoSchedule or :NoExecute, or *",
			text,
		)
	}
	out["key"] = key
	if equal {
		out["operator"], out["value"] = "Equal", value
	}
	if hasEffect {
		out["effect"] = effect
	}
	return out, nil
}

// Volume parses KIND:WHAT:PATH[:ro].
func Volume(name, text string) (volume, mount map[string]any, err error) {
	f := strings.Split(text, ":")
	bad := provider.WrongKey(
		"volumes", "",
		"volumes: %q is not claim:NAME:PATH, config:NAME:PATH, secret:NAME:PATH, empty:SIZE:PATH or memory:SIZE:PATH, with :ro where it is only to be read",
		text,
	)
	if len(f) < 3 || len(f) > 4 || len(f) == 4 && f[3] != "ro" || !path.IsAbs(f[2]) || path.Clean(f[2]) == "/" {
		return nil, nil, bad
	}
	kind, what := f[0], f[1]
	volume = map[string]any{"name": name}
	mount = map[string]any{"name": name, "mountPath": path.Clean(f[2])}
	if len(f) == 4 {
		mount["readOnly"] = true
	}
	switch kind {
	case "claim", "config", "secret":
		if !IsObjectName(what) {
			return nil, nil, bad
		}
		volume[map[string]string{"claim": "persistentVolumeClaim", "config": "configMap", "secret": "secret"}[kind]] = map[string]any{
			map[string]string{"claim": "claimName", "config": "name", "secret": "secretName"}[kind]: what,
		}
	case "empty", "memory":
		dir := map[string]any{}
		if what != "" {
			n, err := size(what)
			if err != nil {
				return nil, nil, bad
			}
			dir["sizeLimit"] = n
		}
		if kind == "memory" {
			dir["medium"] = "Memory"
		}
		volume["emptyDir"] = dir
	default:
		return nil, nil, bad
	}
	return volume, mount, nil
}

// size parses a size as 512M or 4G, in powers of 1024, and returns it in Kubernetes' form.
func size(text string) (string, error) {
	digits := strings.TrimRight(text, "KMGT")
	unit := text[len(digits):]
	if n, err := strconv.ParseInt(digits, 10, 64); err != nil || n <= 0 || len(unit) > 1 {
		return "", fmt.Errorf("%q is not a size, as 512M", text)
	}
	if unit != "" {
		unit += "i"
	}
	return digits + unit, nil
}

// Egress parses dns or ADDRESS/BITS[:PORT]. With a port, an IPv6 address has brackets.
func Egress(text string) (map[string]any, error) {
	bad := provider.WrongKey("egress", "", "egress: %q is not ADDRESS/BITS, ADDRESS/BITS:PORT, [ADDRESS/BITS]:PORT or dns", text)
	if text == "dns" { // any server with the label that all name servers carry
		return map[string]any{
			"to": []any{map[string]any{
				"namespaceSelector": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": "kube-system"}},
				"podSelector":       map[string]any{"matchLabels": map[string]any{"k8s-app": "kube-dns"}},
			}},
			"ports": portOf(53),
		}, nil
	}
	cidr, port := text, ""
	if rest, ok := strings.CutPrefix(text, "["); ok {
		if cidr, port, ok = strings.Cut(rest, "]"); !ok || port != "" && port[0] != ':' {
			return nil, bad
		}
		port = strings.TrimPrefix(port, ":")
	} else if i := strings.IndexByte(text, ':'); i >= 0 && strings.Count(text, ":") == 1 {
		cidr, port = text[:i], text[i+1:]
	}
	net, err := netip.ParsePrefix(cidr)
	if err != nil {
		return nil, bad
	}
	rule := map[string]any{"to": []any{map[string]any{"ipBlock": map[string]any{"cidr": net.Masked().String()}}}}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return nil, bad
		}
		rule["ports"] = portOf(int64(n))
	}
	return rule, nil
}

func portOf(n int64) []any {
	return []any{map[string]any{"protocol": "TCP", "port": n}, map[string]any{"protocol": "UDP", "port": n}}
}
