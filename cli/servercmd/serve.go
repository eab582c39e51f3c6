package servercmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/controller"
	"github.com/hostler-project/hostler/host/socket"
)

func NewServe(a *cli.App) *cobra.Command {
	var o controller.Options
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Be the controller: keep the sources full, and answer the commands of others",
		Long: `Keep what the sources want ready, clean and discard what is given back, end leases that are over, and answer the commands of this machine's users by a unix
socket, and with --listen those of other programs by HTTP (/v1, described by /openapi.json). Commands find the socket by themselves and work as without it.
It ends with SIGTERM when what is being answered is answered; SIGHUP, or hostler reload, has it read its configuration anew.`,
		Example: "  hostler serve\n  hostler serve --listen 127.0.0.1:7070\n  curl -H \"Authorization: Bearer $(cat ~/.local/state/hostler/controller.token)\" localhost:7070/v1/sources",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := o.Telemetry.Logger(a.Err, a.Debug)
			if err != nil {
				return err
			}
			a.Log = log
			return controller.Serve(cmd.Context(), a.Host, log, a.Traces, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Socket.Path, "socket", "", "listen on the unix socket `PATH`; "+socket.SocketName+" in the runtime directory unless it is said")
	f.BoolVar(&o.Socket.Everyone, "everyone", false, "let all users of this machine use the socket, each with leases of their own")
	f.StringVar(&o.Network.Address, "listen", "", "listen on `ADDR` too, HOST:PORT; without TLS only on loopback")
	f.StringVar(&o.Network.Cert, "tls-cert", "", "the certificate in `FILE`")
	f.StringVar(&o.Network.Key, "tls-key", "", "and its key in `FILE`")
	f.StringVar(&o.Network.ClientCA, "client-ca", "", "know clients by certificates of the authorities in `FILE`; with TLS")
	f.StringVar(&o.Network.Process, "api-process", "auto",
		"have a process without rights read what comes by TCP: `WHEN` is on, off, or auto, as root: docs/controller.md")
	f.Lookup("api-process").NoOptDefVal = "on"
	f.BoolVar(&o.NoFill, "no-fill", false, "make nothing ahead of need: only what commands ask for")
	f.DurationVar(
		&o.Drain, "drain", 0,
		"when told to end, serve for `D` more, not ready, so that nobody is sent here any more: behind what spreads requests",
	)
	f.StringVar(
		&o.TokenFile, "token-file", "",
		"the token in `FILE` makes its bearer an administrator; the file is made if it is missing. controller.token in the state directory unless it is said",
	)
	TelemetryFlags(cmd, &o.Telemetry)
	ways := cobra.FixedCompletions([]string{"auto", "on", "off"}, cobra.ShellCompDirectiveNoFileComp)
	_ = cmd.RegisterFlagCompletionFunc("api-process", ways)
	_ = cmd.MarkFlagFilename("tls-cert")
	_ = cmd.MarkFlagFilename("tls-key")
	_ = cmd.MarkFlagFilename("client-ca")
	return cmd
}

// TelemetryFlags gives a command the options for metrics and logs.
func TelemetryFlags(cmd *cobra.Command, o *controller.Telemetry) {
	f := cmd.Flags()
	f.StringVar(&o.Metrics, "metrics", "", "answer scrapes of /metrics on `ADDR` too, on loopback, to whoever asks")
	f.StringVar(&o.LogFormat, "log-format", "text", "write the log as `FORMAT`: text or json")
	f.StringVar(&o.LogLevel, "log-level", "info", "write what is as grave as `LEVEL` or graver: debug, info, warn or error")
	for name, values := range map[string][]string{
		"log-format": {"text", "json"}, "log-level": {"debug", "info", "warn", "error"},
	} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
}
