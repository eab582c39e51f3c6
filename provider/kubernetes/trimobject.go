package kubernetes

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The parts of a pod that record reads. An object is a hundred times as large in memory as its
// record, and a list may have ten thousand of them.
var (
	slimMeta = []string{
		"name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp",
		"deletionGracePeriodSeconds", "finalizers", "labels", "ownerReferences",
	}
	slimSpec      = []string{"nodeName", "restartPolicy"}
	slimContainer = []string{"name", "image"}
	slimStatus    = []string{"phase", "reason", "message", "podIP", "conditions", "initContainerStatuses", "containerStatuses", "sandbox"}
)

// trimObject removes from an object, a *unstructured.Unstructured, what readPod does not read.
// It is a TransformFunc of client-go: the reflector calls it for each object as soon as it is read.
func trimObject(obj any) (any, error) {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return obj, nil
	}
	meta, spec, status := trimPart(u.Object, "metadata"), trimPart(u.Object, "spec"), trimPart(u.Object, "status")
	lean := pick(meta, slimMeta)
	ours := map[string]any{}
	for key, v := range trimPart(meta, "annotations") {
		if strings.HasPrefix(key, domain+"/") || key == noteContainer {
			ours[key] = v
		}
	}
	lean["annotations"] = ours
	leanSpec := pick(spec, slimSpec)
	if all, ok := spec["containers"].([]any); ok {
		containers := make([]any, 0, len(all))
		for _, c := range all {
			if c, ok := c.(map[string]any); ok {
				containers = append(containers, pick(c, slimContainer))
			}
		}
		leanSpec["containers"] = containers
	}
	u.Object = map[string]any{
		"apiVersion": u.Object["apiVersion"], "kind": u.Object["kind"], "metadata": lean, "spec": leanSpec,
		"status": pick(status, slimStatus),
	}
	return u, nil
}

// trimPart returns the object at a key of an object. nil: there is none.
func trimPart(of map[string]any, name string) map[string]any {
	out, _ := of[name].(map[string]any)
	return out
}

// pick returns those parts of an object that have one of the names.
func pick(of map[string]any, names []string) map[string]any {
	out := make(map[string]any, len(names))
	for _, name := range names {
		if v, ok := of[name]; ok {
			out[name] = v
		}
	}
	return out
}
