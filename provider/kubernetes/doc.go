// Package kubernetes is the provider of type kubernetes: its computers are pods of a cluster.
//
// Labels say whose a pod is: hostler-project.github.io/installation and /source. The annotation
// /instance has the instance's name. A pod without our installation is never touched, whatever its
// name. A pod is created, never applied: an apply would take over somebody else's pod of that name.
// The other objects of a source are its network policy and, for claims, its template and warm pool
// (warm.go). These are applied by the server, with the field manager "hostler".
//
// One watch for each namespace tells of all pods of this installation, for any number of sources
// (watch.go). Users' requests are answered from it. Only the absence of a pod is asked of the API
// server itself.
//
// The way in is the guest program (remote/agent). It is copied through exec into a directory of the
// pod, or an init container puts it there if the image has no shell. Otherwise plain exec is used
// (podexec), with the limits in docs/kubernetes.md.
//
// Each pod costs two writes at the API server: its creation and its deletion. The source's own warm
// pool costs one whenever the director changes its size, which is rare.
package kubernetes
