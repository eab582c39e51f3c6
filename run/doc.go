// Package run has one run from its wish to its end: an instance for the time of a command, the
// working tree that goes along, the command itself, its record, what is brought back, and the end
// of the instance where it was acquired for the run.
//
//	h, err := host.Open(ctx, host.Options{})
//	defer h.Close()
//	_, err = run.Run(ctx, session.Plain(h.Opened(), host.LocalUser()), run.Options{
//		Name: "sandbox", Args: []string{"make", "test"}, Stdout: os.Stdout, Stderr: os.Stderr,
//	})
//
// The packages below it are its parts: session has the instance, worktree the tree, artifacts what
// is brought back, held runs that outlive their client, and multi several runs at once.
package run
