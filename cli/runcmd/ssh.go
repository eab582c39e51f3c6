package runcmd

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/remote/sshserve"
	"github.com/hostler-project/hostler/run"
	"github.com/hostler-project/hostler/run/session"
	"github.com/hostler-project/hostler/text/visible"
)

// SshUser is the user in ssh's configuration that stands for the user of run's commands.
const SshUser = "hostler"

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
	w, err := SshWay(a)
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

func NewSSHProxy(a *cli.App) *cobra.Command {
	var o sshFlags
	cmd := &cobra.Command{
		Use:   "ssh-proxy NAME",
		Short: "Speak ssh's protocol for an instance on standard input and output",
		Long: `Be what ssh connects to, as its ProxyCommand: hostler ssh-config writes such a configuration. NAME is an instance, a lease's name, or a source: then one is acquired,
and given back when the connection ends. A name may end with ` + sshSuffix + `. Nobody is asked for a key or a password, as who started this process is the one who speaks to it.`,
		Example: "  hostler ssh-proxy web-3",
		Hidden:  true,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return sshProxy(a, cmd.Context(), &o, args[0])
		},
		ValidArgsFunction: a.CompleteTargets,
	}
	o.acquire.Declare(a, cmd)
	cmd.Flags().BoolVar(&o.any, "any", false, "use the instance whoever has the lease; for administrators")
	return cmd
}

// sshFlags are ssh-proxy's.
type sshFlags struct {
	acquire leasecmd.AcquireFlags
	any     bool
}

// sshProxy serves one connection of ssh.
func sshProxy(a *cli.App, ctx context.Context, o *sshFlags, name string) error {
	key, _, err := hostKey()
	if err != nil {
		return err
	}
	r := leasecmd.NewSession(a, &o.acquire, session.Options{Any: o.any})
	var signals run.Interrupts
	ctx, stop := signals.Listen(ctx, true)
	defer r.Backend.Close()
	defer stop()
	if err := r.Obtain(ctx, name); errors.Is(err, compute.ErrNotFound) && strings.HasSuffix(name, sshSuffix) {
		r.Backend.Close()
		if err := r.Obtain(ctx, strings.TrimSuffix(name, sshSuffix)); err != nil {
			return signals.Interrupted(err, false)
		}
	} else if err != nil {
		return signals.Interrupted(err, false)
	}
	defer r.GiveBack(ctx)
	conn, _, err := r.Enter(ctx)
	if err != nil {
		return signals.Interrupted(err, false)
	}
	defer conn.Close()
	env := map[string]string{"HOSTLER_INSTANCE": string(r.Instance.ID), "HOSTLER_LEASE": r.Lease.ID}
	life, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		r.Watch(life, cancel)
	}()
	err = sshserve.Serve(life, newStdio(a.In, a.Out), sshserve.Options{Conn: conn, Key: key, User: SshUser, Env: env, Log: a.Log})
	ended := context.Cause(life)
	cancel(nil)
	<-watched
	switch {
	case errors.Is(ended, compute.ErrEnded):
		return session.LostWhile(r.Instance.ID, ended, nil)
	case errors.Is(ended, session.ErrLeaseEnded):
		return &compute.Error{ID: r.Instance.ID, Kind: compute.ErrNotLeased, Err: session.ErrLeaseEnded}
	case ctx.Err() != nil:
		return nil // ssh ends this process by a signal
	}
	return err
}

// stdio is standard input and output as one stream. Closing it ends a blocked read, which closing
// standard input would not do.
type stdio struct {
	io.Writer
	*io.PipeReader
}

func newStdio(in io.Reader, out io.Writer) stdio {
	r, w := io.Pipe()
	go func() { // ends with its input or the process
		_, err := io.Copy(w, in)
		_ = w.CloseWithError(cmp.Or(err, io.EOF))
	}()
	return stdio{out, r}
}

func NewSSHConfig(a *cli.App) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "ssh-config [NAME...]",
		Short: "Print a configuration with which ssh, scp, rsync and editors reach instances",
		Long: `Print a configuration for OpenSSH by which its programs, and all that call them, reach the named instances, or all that you have leased: by the instance's name and by
the lease's. It needs no ssh server there and no keys: hostler is the connection (ProxyCommand). At its end stands a pattern that is good for ever: NAME` + sshSuffix + ` is the
instance, the lease or, acquired for the time of the connection, one of the source NAME. USER@NAME is that user there; without it it is the one that
the commands of hostler run have. With --json: what other programs need to connect so.`,
		Example: "  hostler ssh-config >~/.ssh/hostler.conf     and in ~/.ssh/config: Include hostler.conf\n  hostler ssh-config web-3 >c && rsync -e 'ssh -F c' -a src web-3:",
		RunE: func(cmd *cobra.Command, args []string) error {
			return sshConfig(a, cmd.Context(), args, all)
		},
		ValidArgsFunction: a.CompleteLeased,
	}
	cmd.Flags().BoolVar(&all, "all", false, "all instances that are leased, whoever has them; for administrators")
	return cmd
}

// sshView is an instance as ssh reaches it, in `ssh-config --json`.
type sshView struct {
	Name         string   `json:"name"`
	Source       string   `json:"source"`
	Hosts        []string `json:"hosts"`
	User         string   `json:"user"`
	ProxyCommand []string `json:"proxy_command"`
	HostKey      string   `json:"host_key"`
	KnownHosts   string   `json:"known_hosts"`
	Alias        string   `json:"host_key_alias"`
}

func sshConfig(a *cli.App, ctx context.Context, names []string, all bool) error {
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	w, err := SshWay(a)
	if err != nil {
		return err
	}
	w.Any = all
	leases, err := Mine(a, ctx, engine, names, all)
	if err != nil {
		return err
	}
	views := make([]sshView, len(leases))
	for i, l := range leases {
		views[i] = sshView{Name: string(l.Instance), Source: l.Source, Hosts: HostNames(l), User: SshUser,
			ProxyCommand: w.command(string(l.Instance)), HostKey: w.key,
			KnownHosts: w.known, Alias: SshUser}
	}
	if a.JSON {
		return a.PrintJSON(views)
	}
	var b strings.Builder
	for _, v := range views {
		b.WriteString("Host " + strings.Join(v.Hosts, " ") + "\n" + w.lines(v.Name) + "\n")
	}
	w.Any = false
	b.WriteString("Host *" + sshSuffix + "\n" + w.lines("%n"))
	return term.Printf(a.Out, "%s", visible.Block(b.String()))
}

// HostNames returns ssh's names for a lease's instance, without those that mean something else in
// its configuration.
func HostNames(l compute.Lease) []string {
	var out []string
	for _, n := range []string{string(l.Instance), l.Name} {
		if n != "" && !strings.ContainsAny(n, "@*?!, \"'\\%#=\t") {
			out = append(out, n)
		}
	}
	return out
}

// Mine returns the leases of these names, or all of the caller's; with all, those of all users.
func Mine(a *cli.App, ctx context.Context, engine cli.Engine, names []string, all bool) ([]compute.Lease, error) {
	if len(names) == 0 {
		q := compute.LeaseQuery{Owner: a.Owner()}
		if all {
			q.Owner = ""
		}
		leases, err := engine.Leases(ctx, q)
		// the pool's instance is there too
		leases = slices.DeleteFunc(leases, func(l compute.Lease) bool { return l.Pool != "" })
		slices.SortFunc(leases, func(x, y compute.Lease) int { return cmp.Compare(x.Instance, y.Instance) })
		return leases, err
	}
	var out []compute.Lease
	for _, n := range names {
		_, l, err := engine.Resolve(ctx, n)
		if err == nil && l == nil {
			err = &compute.Error{ID: compute.ID(n), Kind: compute.ErrNotLeased, Hint: "hostler acquire"}
		}
		if err == nil && l.Owner != a.Owner() && !all {
			err = &compute.Error{
				ID: compute.ID(n), Kind: compute.ErrDenied, Err: errors.New("the lease is " + l.Owner + "'s"),
				Hint: "--all, as an administrator",
			}
		}
		if err != nil {
			return nil, err
		}
		out = append(out, *l)
	}
	return out, nil
}
