package kubernetes

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/hostler-project/hostler/compute"
)

// sizes returns the cores, bytes and GPUs that an instance for a request has, as facts. It reads
// the limits of the container for commands, else its requests. What is in neither is unknown,
// except GPUs, which are then none. It returns nothing for claims of another owner's pool.
func (b *builder) sizes(spec compute.Spec) map[string]string {
	if b.p.gvr == claims {
		if !b.p.owns() {
			return nil
		}
		spec = compute.Spec{} // all are alike
	}
	pod, err := b.manifest(spec)
	if err != nil {
		return nil
	}
	c, err := b.main(trimPart(pod.Object, "spec"))
	if err != nil {
		return nil
	}
	r := trimPart(c, "resources")
	out := map[string]string{"gpus": "0"}
	for fact, name := range map[string]string{"cores": "cpu", "memory": "memory", "disk": "ephemeral-storage", "gpus": b.p.o.GPU} {
		said := trimPart(r, "limits")[name]
		if said == nil {
			said = trimPart(r, "requests")[name]
		}
		if said == nil {
			continue
		}
		q, err := resource.ParseQuantity(fmt.Sprint(said))
		switch {
		case err != nil: // the API server will report it
		case fact == "cores":
			out[fact] = strconv.FormatFloat(float64(q.MilliValue())/1000, 'f', -1, 64)
		default:
			out[fact] = strconv.FormatInt(q.Value(), 10)
		}
	}
	return out
}
