// Package resource lets users of a Kubernetes cluster ask for leases, and define sources, bundles
// and quotas, with objects of hostler's own kinds (docs/kubernetes-resources.md). `kubectl get
// leases.hostler-project.github.io` shows what hostler status shows.
//
// It makes no decisions. Each object is a request that goes to the engine through Client, as other
// clients' requests do. It acts as a user of the project of the object's namespace, with no more
// rights. The result is written to the object's status when it changes.
//
// An object's UID is the key of its request. A controller that was killed or lost the lead asks
// again with the same key and gets the same lease, never a second one. A finalizer keeps the object
// until its lease is released. Leases whose object is gone are found by their label and released.
//
// The kinds are defined in packaging/helm/hostler/crds.
package resource
