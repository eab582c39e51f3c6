package sshcmd

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
)

// sshUser is the user in ssh's configuration that stands for the user of run's commands.
const sshUser = "hostler"

// sshSuffix ends the host names that ssh's configuration knows without naming them.
const sshSuffix = ".hostler"

func NewSSH(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "ssh [SSH-OPTION...] NAME [COMMAND...]",
		Short: "Run the program ssh to an instance, whether or not it has an ssh server",
		Long: `Run the program ssh with a configuration by which it reaches your instances, by their names or their leases', and with a source's name one that is acquired for
the connection. All of ssh's options work (-L, -R, -D, -N, -t ...), and what your own ~/.ssh/config says of other things counts too. USER@NAME is that user there;
without it it is the one that the commands of hostler run have. For scp, rsync, editors and all else that calls ssh itself see hostler ssh-config.`,
		Example:            "  hostler ssh web-3\n  hostler ssh -L 8080:localhost:80 -N web-3\n  hostler ssh web-3 uname -a",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "--help" || args[0] == "-h" {
				return cmd.Help()
			}
			return connect(a, args)
		},
		ValidArgsFunction: a.CompleteTargets,
	}
}

// connect becomes the program ssh.
func connect(a *cli.App, args []string) error {
	program, err := exec.LookPath("ssh")
	if err != nil {
		return &compute.Error{
			Kind: compute.ErrNotFound, Err: errors.New("there is no program ssh on PATH"),
			Hint: "install it (the package openssh-client), or: hostler shell NAME",
		}
	}
	file, err := sshFile(a)
	if err != nil {
		return err
	}
	a.Host.Close()
	return &os.PathError{Op: "exec", Path: program, Err: syscall.Exec(program, append([]string{"ssh", "-F", file}, args...), os.Environ())}
}

// sshFile writes a configuration with which ssh reaches every name through hostler, and returns its
// name.
func sshFile(a *cli.App) (string, error) {
	w, err := newWay(a)
	if err != nil {
		return "", err
	}
	text := "Host *\n" + w.lines("%n")
	if h, err := host.Home(); err == nil {
		for _, f := range []string{filepath.Join(h, ".ssh", "config"), "/etc/ssh/ssh_config"} {
			if _, err := os.Stat(f); err == nil {
				text += "\tInclude \"" + f + "\"\n"
			}
		}
	}
	file := filepath.Join(filepath.Dir(w.known), "config")
	return file, host.WriteFile(file, []byte(text))
}
