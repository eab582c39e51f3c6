package agent

// Program is the guest side of a connection as a file of this machine: hostler-agent, or hostler
// itself.
//
// Its first own argument says what to do, its last where the bytes go:
//
//	serve [--stay] stdio            standard input and output: a pipe, an ssh session, an exec of
//	                                a container
//	serve [--stay] fd:N             accept connections on a listening socket that it was born with
//	serve [--stay] unix:PATH        listen there
//	serve [--stay] port:PATH        a virtio-serial port, or another character device; the other
//	                                end is to use Attach
//	serve [--stay] vsock:PORT       listen there
//	reap                            what serve starts between itself and a command, where it has
//	                                no cgroup; not for others
//	init [--] COMMAND...            the first process of a container: start it, hand on signals,
//	                                bury orphans
//	sandbox                         become the first process of a sandbox
//	watch FILE -- COMMAND...        run the command in a sandbox, and write to the file which
//	                                paths it looked for in vain
//	copy FILE                       put a copy of itself there, and end
//	version                         print the version and end
//
// Without --stay it ends with its first connection. The other options of serve:
//   - --keep-env: commands get its own environment, else a small one
//   - --dir=DIR: where commands start and relative names begin
//   - --work=DIR, --work-others=DIR: where workspaces are, and those of other users
//   - --owner: files get the owners that a stream names
//   - --cgroup=auto|alone|none|DIR|fd:N: a directory of a cgroup v2 for a group of each command, so
//     that all its descendants end with it; auto: its own group where it may, else a process
//     between it and each command
//   - --oom=FILE|fd:N: memory.events of a cgroup v2 or memory.oom_control of a v1, which tells a
//     command that was killed for lack of memory
type Program struct {
	Path string   // an executable file
	Args []string // words before the first own argument: none, or "agent" for hostler itself
}

// Command is the argument vector that starts the program.
func (p Program) Command(args ...string) []string {
	return append(append([]string{p.Path}, p.Args...), args...)
}

// Finder finds the program for an architecture, as Go names it. An error says why there is none.
type Finder func(arch string) (Program, error)
