package kubernetes

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What record has of a pod's parts. An object is a hundred times as large in memory as what we keep
// of it, and a list of ten thousand would be there whole.
var (
	slimMeta = []string{
		"name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp",
		"deletionGracePeriodSeconds", "finalizers", "labels", "ownerReferences",
	}
	slimSpec      = []string{"nodeName", "restartPolicy"}
	slimContainer = []string{"name", "image"}
	slimStatus    = []string{"phase", "reason", "message", "podIP", "conditions", "initContainerStatuses", "containerStatuses", "sandbox"}
)

// slim takes from an object that was read what readPod does not read; obj is a
// *unstructured.Unstructured, as its result. It is a cache.TransformFunc: the reflector calls it
// for each object as soon as it has been read.
func slim(obj any) (any, error) {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return obj, nil
	}
	meta, spec, status := part(u.Object, "metadata"), part(u.Object, "spec"), part(u.Object, "status")
	lean := some(meta, slimMeta)
	ours := map[string]any{}
	for key, v := range part(meta, "annotations") {
		if strings.HasPrefix(key, domain+"/") || key == noteContainer {
			ours[key] = v
		}
	}
	lean["annotations"] = ours
	leanSpec := some(spec, slimSpec)
	if all, ok := spec["containers"].([]any); ok {
		containers := make([]any, 0, len(all))
		for _, c := range all {
			if c, ok := c.(map[string]any); ok {
				containers = append(containers, some(c, slimContainer))
			}
		}
		leanSpec["containers"] = containers
	}
	u.Object = map[string]any{
		"apiVersion": u.Object["apiVersion"], "kind": u.Object["kind"], "metadata": lean, "spec": leanSpec,
		"status": some(status, slimStatus),
	}
	return u, nil
}

// part returns an object in an object; nil: it has none of that name.
func part(of map[string]any, name string) map[string]any {
	out, _ := of[name].(map[string]any)
	return out
}

// some returns those of an object's parts that there are of the names.
func some(of map[string]any, names []string) map[string]any {
	out := make(map[string]any, len(names))
	for _, name := range names {
		if v, ok := of[name]; ok {
			out[name] = v
		}
	}
	return out
}
