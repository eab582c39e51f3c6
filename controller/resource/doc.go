// Package resource lets people of a Kubernetes cluster ask for leases, and say what sources,
// bundles and quotas there are, by objects of their own kinds there (docs/kubernetes-resources.md):
// kubectl get leases.hostler-project.github.io shows what hostler status shows.
//
// It decides nothing: each object is a wish that is handed on to the engine by the door that all
// clients use (Door), as somebody who is in the project of the object's namespace and no more there
// than a user. What comes of it is written into the object's status, when it has changed.
//
// An object's UID is the key of its request, so that who was killed at any step, or lost the lead
// in the midst of it, asks again and gets what was given, and never a second lease. A finalizer
// keeps the object until its lease is given back; leases whose object is gone all the same are
// found by their label, and given back.
//
// The kinds are defined in packaging/helm/hostler/crds.
package resource
