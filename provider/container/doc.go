// Package container is the provider of type container: computers that are containers of Docker or
// Podman, made through their API socket on this machine. It speaks the Engine API itself, over
// net/http: Podman answers the same one.
//
// The way in is our own guest program (remote/agent). Its file is mounted read-only into each
// container, or copied into it where the engine does not see this machine's files; it is the
// container's first process, which buries orphans, and a second one of it, started by the engine's
// exec and reached through the hijacked connection, serves the agent's protocol until that
// connection ends. So any image works, an empty one too.
//
// Whose a container is, its labels say: hostler.installation, hostler.source, hostler.id. One that
// does not carry ours is never touched, whatever its name. Everything else that is to be known of
// it later is in labels too, so that any process can go on with it:
//
//	NAME.INSTALLATION        the container of instance NAME; the second part is the beginning of
//	                         the installation's id
//	NAME.INSTALLATION.new    what Clean puts in its place: created, and renamed when the old one
//	                         is gone
//
// Each step is repeated harmlessly, so that a kill at any point leaves nothing that the next
// Create, Clean or Destroy does not finish. An engine that was stopped and is back has stopped its
// containers: Connect starts them again, files kept.
//
// Whoever may use the engine's socket is root on its machine, and a container shares its kernel:
// docs/containers.md says what that means.
package container
