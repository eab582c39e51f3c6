// Package kubernetes is the provider of type kubernetes: computers that are pods of a cluster,
// which places and runs them.
//
// Whose a pod is, its labels say: hostler-project.github.io/installation and /source; the
// annotation /instance has the instance's name. One that does not carry our installation is never
// touched, whatever its name. A pod is created, never applied: an apply of a name that is another's
// would take that over. What else a source needs in its namespace (its network policy; of claims
// its template and warm pool, warm.go) is applied by the server, with the field manager "hostler".
//
// One watch for a namespace of a cluster tells of all pods of this installation, however many
// sources have theirs there (watch.go); what is asked in a user's path is answered from it. Only
// that a pod is gone is asked of the API server itself.
//
// The way in is our own guest program (remote/agent), copied through exec into a directory of the
// pod that is made for it, or put there by an init container where the image has no shell; where
// neither can be, plain exec (exec.go): docs/kubernetes.md has what that lacks.
//
// A life costs two writes at the API server: the pod's creation and its deletion. A warm pool of
// the source's own costs one whenever the director changes its size, which it does seldom.
package kubernetes
