package kubernetes

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	clientapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/kubernetes/manifest"
)

// Look says what is wrong with the files that the keys name on this machine, and with the pods that
// they give. It finds a template that cannot be read or contradicts other keys, a missing image,
// and an unknown context. Its errors are compute.KeyErrors. odd lists what cannot work yet but may
// be intended, as a missing kubeconfig. It calls no cluster. The keys have passed Check.
func (o Options) Look() (odd []string, err error) {
	read, err := o.read()
	if err != nil {
		return nil, err
	}
	odd, err = o.lookAtConfig()
	if err != nil || o.WarmPool != "" { // its template is at the cluster
		return odd, err
	}
	base, err := manifest.Read(o.Template)
	if err != nil {
		return odd, err
	}
	like := &Provider{o: o, plan: read, c: &cluster{}, gvr: kinds[read.kind]}
	like.assemble()
	_, err = like.build.onTemplate(base, compute.Spec{})
	if errors.Is(err, errNoImage) && o.Requested {
		return append(odd, "no image: only requests that name one are served"), nil
	}
	if _, ok := errors.AsType[*compute.KeyError](err); err != nil && !ok {
		err = compute.WrongKey("template", compute.Hint(err), "%w", err)
	}
	return odd, err
}

// lookAtConfig checks the kubeconfig, if it exists and can be read.
func (o Options) lookAtConfig() (odd []string, err error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	// this must change and print nothing
	rules.ExplicitPath, rules.MigrationRules, rules.WarnIfAllMissing = o.Kubeconfig, nil, false
	files := rules.Precedence
	if o.Kubeconfig != "" {
		files = []string{o.Kubeconfig}
	}
	there := false
	for _, path := range files {
		f, err := os.Open(path)
		if err == nil {
			_ = f.Close()
			there = true
		} else if !errors.Is(err, fs.ErrNotExist) { // the user of the source may be able to read it
			return []string{fmt.Sprintf("kubeconfig: %v", err)}, nil
		}
	}
	if !there {
		if o.Kubeconfig != "" {
			odd = append(odd, fmt.Sprintf("kubeconfig: %s is not there yet", o.Kubeconfig))
		}
		return odd, nil // or it is the service account of a pod
	}
	config, err := rules.Load()
	if err != nil {
		return nil, compute.WrongKey("kubeconfig", "`kubectl config view` reads it too", "kubeconfig: %w", err)
	}
	return usable(config, o.Context)
}

// usable checks that a kubeconfig has a context and what that names. Without a name it is the
// current context.
func usable(config *clientapi.Config, name string) (odd []string, err error) {
	const hint = "`kubectl config get-contexts` lists those that there are"
	used := cmp.Or(name, config.CurrentContext)
	at := config.Contexts[used]
	var text string
	switch {
	case used == "" && len(config.Contexts) == 0:
		return nil, nil // an empty one counts as none
	case used == "":
		text = "the kubeconfig has no current context, and the source names none"
	case at == nil:
		text = fmt.Sprintf("the kubeconfig has no context %s", used)
	case config.Clusters[at.Cluster] == nil:
		text = fmt.Sprintf("the kubeconfig's context %s is of the cluster %q, which it does not have", used, at.Cluster)
	case at.AuthInfo != "" && config.AuthInfos[at.AuthInfo] == nil:
		text = fmt.Sprintf("the kubeconfig's context %s is of the user %q, whom it does not have", used, at.AuthInfo)
	default:
		return nil, nil
	}
	if name == "" { // the source does not name it, and it changes by itself
		return []string{text}, nil
	}
	return nil, compute.WrongKey("context", hint, "context = %s: %s", name, text)
}
