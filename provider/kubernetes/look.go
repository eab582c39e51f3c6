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
)

// Look says what is wrong with what the keys name on this machine, and with the pods that would be
// made: a template that cannot be read or that the other keys do not go with, no image, a context
// that the kubeconfig does not have. Its errors are compute.KeyErrors. odd is what cannot work as
// it is now, and may be meant so: a kubeconfig that is not there yet. Nothing is asked of a
// cluster. The keys are those that Check takes.
func (o Options) Look() (odd []string, err error) {
	read, err := o.read()
	if err != nil {
		return nil, err
	}
	odd, err = o.lookAtConfig()
	if err != nil || o.WarmPool != "" { // whose template is at the cluster
		return odd, err
	}
	base, err := template(o.Template)
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

// lookAtConfig looks into the kubeconfig, where it is there and may be read.
func (o Options) lookAtConfig() (odd []string, err error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	// looking changes nothing, and says nothing by itself
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
		} else if !errors.Is(err, fs.ErrNotExist) { // whoever uses the source may read it
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

// usable says whether a kubeconfig has a context, its current one where none is named, and what
// that names.
func usable(config *clientapi.Config, name string) (odd []string, err error) {
	const hint = "`kubectl config get-contexts` lists those that there are"
	used := cmp.Or(name, config.CurrentContext)
	at := config.Contexts[used]
	var text string
	switch {
	case used == "" && len(config.Contexts) == 0:
		return nil, nil // an empty one, as good as none
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
	if name == "" { // it is not what the source says, and changes by itself
		return []string{text}, nil
	}
	return nil, compute.WrongKey("context", hint, "context = %s: %s", name, text)
}
