// Package enter is what the first process of a sandbox does. It gets a plan over a socket and
// builds the file system that the plan describes. It leaves the host's file system and gives up the
// privileges it no longer needs. Then it reports that it is ready, and serves every client that
// connects.
//
// The process was made in name spaces of its own, with all capabilities in its user name space and
// none outside of it. Until its plan has come it has done nothing, and where its maker dies before
// that it ends. Mounts are made in its own mount name space, so all of them go with it.
//
// The package is linked into the agent: it is small, starts at once, and imports little.
package enter

// Word is the agent's verb for Main.
const Word = "sandbox"
