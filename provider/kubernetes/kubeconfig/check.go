package kubeconfig

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	clientapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/hostler-project/hostler/provider"
)

// Check says what is wrong with the kubeconfig, if it exists and can be read. odd is what may be
// intended. Its errors are provider.KeyErrors.
func (o Options) Check() (odd []string, err error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	// this must change and print nothing
	rules.ExplicitPath, rules.MigrationRules, rules.WarnIfAllMissing = o.Path, nil, false
	files := rules.Precedence
	if o.Path != "" {
		files = []string{o.Path}
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
		if o.Path != "" {
			odd = append(odd, fmt.Sprintf("kubeconfig: %s is not there yet", o.Path))
		}
		return odd, nil // or it is the service account of a pod
	}
	config, err := rules.Load()
	if err != nil {
		return nil, provider.WrongKey("kubeconfig", "`kubectl config view` reads it too", "kubeconfig: %w", err)
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
	return nil, provider.WrongKey("context", hint, "context = %s: %s", name, text)
}
