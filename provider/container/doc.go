// Package container is the provider of type container: computers that are containers of Docker or
// Podman, made through their API socket on this machine. It speaks the Engine API itself, over
// net/http: Podman answers the same one.
//
// The way in is our own guest program (remote/agent). Its file is mounted read-only into each
// container, or copied into it where the engine does not see this machine's files. It is the
// container's first process, which reaps orphans. The engine's exec starts a second process of it,
// which serves the agent's protocol over the hijacked connection until that ends. So any image
// works, an empty one too.
//
// Labels say whose a container is: hostler.installation, hostler.source, hostler.id. A container
// without our labels is never touched, whatever its name. All else that later calls need is in
// labels too, so that any process can go on with it:
//
//	NAME.INSTALLATION        the container of instance NAME; the second part is the beginning of
//	                         the installation's id
//	NAME.INSTALLATION.new    what Clean puts in its place: created, and renamed when the old one
//	                         is gone
//
// Each step may be repeated, so that a kill at any point leaves nothing that the next Create, Clean
// or Destroy does not finish. An engine's stop ends its containers: Connect starts them again, with
// their files.
//
// A user with access to the engine's socket is root on its machine, and a container shares the
// machine's kernel: docs/containers.md says what that means.
package container
