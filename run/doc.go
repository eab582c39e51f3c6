// Package run runs one command on an instance, from the request to the end. It gets the instance,
// sends the working tree and runs the command. It records the run, brings back files, and releases
// the instance if it was acquired for the run.
//
//	h, err := host.Open(ctx, host.Options{})
//	defer h.Close()
//	_, err = run.Run(ctx, session.Plain(h.Opened(), host.LocalUser()), run.Options{
//		Name: "sandbox", Args: []string{"make", "test"}, Stdout: os.Stdout, Stderr: os.Stderr,
//	})
//
// The packages below are its parts. session has the instance, worktree the tree, and artifacts
// the files that are brought back. detachedruns has runs that outlive their client, and multi
// several runs at once.
package run
