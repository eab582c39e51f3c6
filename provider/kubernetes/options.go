package kubernetes

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/kubernetes/manifest"
	"github.com/hostler-project/hostler/remote/agent"
)

// Options are the keys of a source of type kubernetes. The zero value of a key is its default.
type Options struct {
	// a file; "": $KUBECONFIG, ~/.kube/config, or the service account of our own pod
	Kubeconfig string `conf:"kubeconfig"`
	Context    string `conf:"context"`   // of the kubeconfig; "": its current one
	Namespace  string `conf:"namespace"` // "": the context's, else default

	Kind string `conf:"kind"` // pod (the default); sandbox or claim, of agent-sandbox
	// for claims: the name of a SandboxWarmPool of another owner. Its template replaces template,
	// image and the like. "": the source has its own pool.
	WarmPool string `conf:"warm-pool"`
	// for claims of our own pool: keep at least this many sandboxes in it
	Warm int `conf:"warm"`
	// a file with a pod (YAML or JSON) as the base of each pod. The keys below override it.
	Template  string `conf:"template"`
	Image     string `conf:"image"`     // required, unless the template or each request names one
	Container string `conf:"container"` // the container of the template for commands; "": its first

	Cores  float64 `conf:"cores"`       // the request and the limit; 0: as the template says
	Memory int64   `conf:"memory,size"` // bytes
	Disk   int64   `conf:"disk,size"`   // bytes of ephemeral storage
	// the resource for the GPUs of a request; "": nvidia.com/gpu
	GPU      string   `conf:"gpu"`
	Selector []string `conf:"node-selector"`
	// Tolerations are KEY[=VALUE][:EFFECT]. Without EFFECT all effects; "*": all taints.
	Tolerations []string `conf:"tolerations"`
	Runtime     string   `conf:"runtime-class"`
	Priority    string   `conf:"priority-class"`
	// the pods get its token; "": the default account and no token
	Account string `conf:"service-account"`
	// missing, always or never; "": the cluster's default
	PullPolicy  string   `conf:"pull"`
	PullSecrets []string `conf:"pull-secrets"` // names in the namespace
	Env         []string `conf:"env"`          // NAME=VALUE
	Labels      []string `conf:"labels"`       // NAME=VALUE
	Annotations []string `conf:"annotations"`
	// KIND:NAME:PATH[:ro] with KIND claim, config or secret; empty:SIZE:PATH; memory:SIZE:PATH
	Volumes []string `conf:"volumes"`

	User     int64  `conf:"user"`     // the user id for commands; 0: as security says
	Security string `conf:"security"` // strict (the default), baseline, or template
	Network  string `conf:"network"`  // none (the default), egress, or open
	// exceptions to network = none: ADDRESS/BITS[:PORT], or dns for the cluster's name servers
	Egress []string `conf:"egress"`

	Way string `conf:"way"` // agent (the default) or exec
	// an image with the guest program for an init container; "": the program is copied through exec
	AgentIn string `conf:"agent-image"`
	// how long processes have to end by themselves when a pod is deleted
	Grace time.Duration `conf:"grace"`
	// when to delete a pod by force that its node does not end; 0: never
	Force    time.Duration `conf:"force-delete"`
	Schedule time.Duration `conf:"schedule-wait"`
	// Schedule is how long a pod may have no node before that counts as no capacity; 0: 30 s. A
	// cluster that adds nodes by itself needs minutes.

	// images come from requests or the whole source; only Look reads this
	Requested    bool
	Source       string        // the source's name
	Installation string        // the installation's id
	Dir          string        // unused, as all state is at the cluster
	Agent        agent.Finder  // finds the guest program; required for way = agent
	Others       *image.Others // how requested images are judged; nil: as the owner's

	// how long the last state of a broken watch may be used; 0: usualFresh
	fresh time.Duration
}

// plan is the parsed form of the lists in Options.
type plan struct {
	kind                          string
	selector, labels, annotations map[string]string
	tolerations, env              []any
	volumes, mounts               []any
	egress                        []any
	// a digest of the network policy; "": there is none
	network string
}

// Check says what is wrong with the keys by themselves. It calls no cluster and reads no file. Its
// errors are provider.KeyErrors.
func (o Options) Check() error {
	_, err := o.read()
	return err
}

// read parses the options and fills in the defaults. Its errors name the key.
func (o *Options) read() (p plan, err error) {
	shapes := o.shapes() // before defaults are set
	if o.Kubeconfig != "" {
		if o.Kubeconfig, err = manifest.FullPath(o.Kubeconfig); err != nil {
			return p, provider.WrongKey("kubeconfig", "", "kubeconfig: %w", err)
		}
	}
	if o.Template != "" {
		if _, err := manifest.FullPath(o.Template); err != nil {
			return p, provider.WrongKey("template", "", "template: %w", err)
		}
	}
	network := "none"
	// the pool's template decides these; agent-sandbox's own policy opens egress
	if o.WarmPool != "" {
		network = "open"
	}
	o.Security, o.Network, o.Way = cmp.Or(o.Security, "strict"), cmp.Or(o.Network, network), cmp.Or(o.Way, "agent")
	o.Kind = cmp.Or(o.Kind, "pod")
	p.kind = o.Kind
	o.GPU, o.Schedule = cmp.Or(o.GPU, "nvidia.com/gpu"), cmp.Or(o.Schedule, 30*time.Second)
	for _, is := range []struct {
		key, value string
		one        []string
	}{
		{"kind", o.Kind, []string{"pod", "sandbox", "claim"}},
		{"security", o.Security, []string{"strict", "baseline", "template"}},
		{"network", o.Network, []string{"none", "egress", "open"}},
		{"way", o.Way, []string{"agent", "exec"}}, {"pull", o.PullPolicy, []string{"", "missing", "always", "never"}},
	} {
		if !slices.Contains(is.one, is.value) {
			return p, provider.WrongKey(
				is.key, "", "%s = %s: not one of %s", is.key, is.value,
				strings.TrimPrefix(strings.Join(is.one, ", "), ", "),
			)
		}
	}
	for _, of := range []struct {
		key  string
		less bool
	}{
		{"cores", o.Cores < 0}, {"memory", o.Memory < 0}, {"disk", o.Disk < 0}, {"user", o.User < 0},
		{"grace", o.Grace < 0}, {"force-delete", o.Force < 0}, {"schedule-wait", o.Schedule < 0},
	} {
		if of.less {
			return p, provider.WrongKey(of.key, "", "%s: it cannot be less than nothing", of.key)
		}
	}
	switch {
	case o.Kind != "claim" && (o.WarmPool != "" || o.Warm != 0):
		return p, provider.WrongKey(
			cmp.Or(map[bool]string{true: "warm-pool"}[o.WarmPool != ""], "warm"), "",
			"warm-pool and warm are for kind = claim",
		)
	case o.WarmPool != "" && o.Warm != 0:
		return p, provider.WrongKey("warm", "", "warm: the size of warm-pool = %s is not ours to say", o.WarmPool)
	case o.Warm < 0:
		return p, provider.WrongKey("warm", "", "warm = %d: less than nothing", o.Warm)
	case o.WarmPool != "" && !manifest.IsObjectName(o.WarmPool):
		return p, provider.WrongKey("warm-pool", "", "warm-pool = %s: not a name of Kubernetes", o.WarmPool)
	case o.WarmPool != "" && shapes != "":
		return p, provider.WrongKey(
			shapes, "", "%s: the template of warm-pool = %s says what its sandboxes are made like", shapes, o.WarmPool,
		)
	case o.Cores > 1<<20:
		return p, provider.WrongKey("cores", "", "cores = %g: too many", o.Cores)
	case o.Namespace != "" && !manifest.IsObjectName(o.Namespace):
		return p, provider.WrongKey("namespace", "", "namespace = %s: not a name of Kubernetes", o.Namespace)
	case o.Network == "open" && len(o.Egress) > 0:
		return p, provider.WrongKey("egress", "", "egress: with network = open everything may be reached")
	}
	for _, of := range []struct {
		key   string
		list  []string
		to    *map[string]string
		label bool
	}{
		{"node-selector", o.Selector, &p.selector, true}, {"labels", o.Labels, &p.labels, true},
		{"annotations", o.Annotations, &p.annotations, false},
	} {
		*of.to = map[string]string{}
		for _, text := range of.list {
			key, value, ok := strings.Cut(text, "=")
			if !ok || !manifest.IsLabel(key) || of.label && !manifest.IsLabelValue(value) {
				return p, provider.WrongKey(of.key, "", "%s: %q is not NAME=VALUE as Kubernetes has them", of.key, text)
			}
			if strings.HasPrefix(key, domain+"/") && of.key != "node-selector" {
				return p, provider.WrongKey(of.key, "", "%s: %s is ours", of.key, key)
			}
			(*of.to)[key] = value
		}
	}
	for _, e := range o.Env {
		name, value, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			// the value is not shown, as it may be a secret
			return p, provider.WrongKey("env", "", "env: %q is not NAME=VALUE", name)
		}
		p.env = append(p.env, map[string]any{"name": name, "value": value})
	}
	for _, text := range o.Tolerations {
		t, err := manifest.Toleration(text)
		if err != nil {
			return p, err
		}
		p.tolerations = append(p.tolerations, t)
	}
	for i, text := range o.Volumes {
		volume, mount, err := manifest.Volume(fmt.Sprintf("hostler-volume-%d", i), text)
		if err != nil {
			return p, err
		}
		p.volumes, p.mounts = append(p.volumes, volume), append(p.mounts, mount)
	}
	for _, text := range o.Egress {
		rule, err := manifest.Egress(text)
		if err != nil {
			return p, err
		}
		p.egress = append(p.egress, rule)
	}
	p.network, err = o.networkOf(p.egress)
	return p, err
}

// shapes returns a key that says how instances are made. "": none is set.
func (o *Options) shapes() string {
	for _, is := range []struct {
		key  string
		said bool
	}{
		{"template", o.Template != ""}, {"image", o.Image != ""}, {"agent-image", o.AgentIn != ""},
		{"env", len(o.Env) > 0}, {"volumes", len(o.Volumes) > 0}, {"cores", o.Cores > 0}, {"memory", o.Memory > 0},
		{"disk", o.Disk > 0}, {"node-selector", len(o.Selector) > 0}, {"tolerations", len(o.Tolerations) > 0},
		{"runtime-class", o.Runtime != ""}, {"priority-class", o.Priority != ""},
		{"service-account", o.Account != ""}, {"pull", o.PullPolicy != ""}, {"pull-secrets", len(o.PullSecrets) > 0},
		{"user", o.User > 0}, {"grace", o.Grace > 0},
		{"security", o.Security != ""}, {"network", o.Network != "" && o.Network != "open"}, {"egress", len(o.Egress) > 0},
	} {
		if is.said {
			return is.key
		}
	}
	return ""
}
