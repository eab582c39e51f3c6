package kubernetes

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/hostler-project/hostler/compute"
)

// sizes tells what an instance that was made for a request has, as facts: the cores, bytes and GPUs
// of the limits of the container that commands run in, else of what is requested for it. What
// neither says it may have or not, but for GPUs: who asks for none has none. Nothing is told of
// claims of somebody else's pool.
func (b *builder) sizes(spec compute.Spec) map[string]string {
	if b.p.gvr == claims {
		if !b.p.owns() {
			return nil
		}
		spec = compute.Spec{} // they are all alike
	}
	pod, err := b.manifest(spec)
	if err != nil {
		return nil
	}
	c, err := b.main(part(pod.Object, "spec"))
	if err != nil {
		return nil
	}
	r := part(c, "resources")
	out := map[string]string{"gpus": "0"}
	for fact, name := range map[string]string{"cores": "cpu", "memory": "memory", "disk": "ephemeral-storage", "gpus": b.p.o.GPU} {
		said := part(r, "limits")[name]
		if said == nil {
			said = part(r, "requests")[name]
		}
		if said == nil {
			continue
		}
		q, err := resource.ParseQuantity(fmt.Sprint(said))
		switch {
		case err != nil: // the API server says so
		case fact == "cores":
			out[fact] = strconv.FormatFloat(float64(q.MilliValue())/1000, 'f', -1, 64)
		default:
			out[fact] = strconv.FormatInt(q.Value(), 10)
		}
	}
	return out
}
