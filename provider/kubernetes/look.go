package kubernetes

import (
	"errors"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/kubernetes/kubeconfig"
	"github.com/hostler-project/hostler/provider/kubernetes/manifest"
)

// Look says what is wrong with the files that the keys name on this machine, and with the pods that
// they give. It finds a template that cannot be read or contradicts other keys, a missing image,
// and an unknown context. Its errors are provider.KeyErrors. odd lists what cannot work yet but may
// be intended, as a missing kubeconfig. It calls no cluster. The keys have passed Check.
func (o Options) Look() (odd []string, err error) {
	read, err := o.read()
	if err != nil {
		return nil, err
	}
	odd, err = kubeconfig.Options{Path: o.Kubeconfig, Context: o.Context}.Check()
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
	if _, ok := errors.AsType[*provider.KeyError](err); err != nil && !ok {
		err = provider.WrongKey("template", compute.Hint(err), "%w", err)
	}
	return odd, err
}
