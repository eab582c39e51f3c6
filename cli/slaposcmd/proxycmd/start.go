package proxycmd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/controller"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/controller/slapos"
	"github.com/hostler-project/hostler/slapos/cache"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/master"
)

func newStart(s *session.Session) *cobra.Command {
	o := &startOptions{}
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Serve nodes and clients of SlapOS, until it is told to end",
		Long: `Be the master that nodes and clients of SlapOS speak to, alone, without a controller. The file is --cfg, else $SLAPOS_CONFIGURATION, else
/etc/opt/slapos/slapos.cfg: its section [slapproxy] has host, port, database_uri, software_product_list and the rest, [slapos] computer_id, and
[multimaster/URL] other masters. Options win over the file. docs/slapos.md says what it does.

On this machine alone it does not identify its clients. On other addresses it speaks TLS, and everybody shows a certificate of its own authority, which hostler slapos proxy certificate
makes, unless the file says tls = off or optional. Who comes without TLS names it by an address, a name of this machine, or one that the file has in server_names.`,
		Example: "  hostler slapos proxy start --cfg slapos.cfg\n  hostler slapos proxy start --cfg slapos.cfg --port 5001 --database-uri /srv/slapos/master.db",
		Args:    cobra.NoArgs,
		RunE:    s.RunE(func(ctx context.Context, _ []string) error { return runStart(ctx, s, o) }),
	}
	f := cmd.Flags()
	f.StringVarP(
		&o.database, "database-uri", "u", "",
		"keep everything in `FILE`; or the address of a PostgreSQL database, or a reference to it",
	)
	f.StringVar(&o.port, "port", "", "listen on the port `N`; 5000 unless it is said, 0 takes a free one")
	f.StringVar(&o.host, "host", "", "listen on the address `HOST`; 127.0.0.1 unless it is said")
	f.StringVar(
		&o.root, "local-software-release-root", "",
		"have releases that are files be below `DIR`: those below the one of before are taken for the same files there",
	)
	_ = cmd.MarkFlagFilename("database-uri")
	_ = cmd.MarkFlagDirname("local-software-release-root")
	return cmd
}

// runStart opens a master and serves it until a signal comes.
func runStart(ctx context.Context, s *session.Session, o *startOptions) error {
	f, err := s.NodeFile(session.MasterFileHint)
	if err != nil {
		return err
	}
	if err := o.read(f); err != nil {
		return fault.Invalid("", "%w", err)
	}
	if s.Log.File == "" {
		if s.Log.File, err = f.First("log_file", "slapproxy", "slapos"); err != nil {
			return fault.Invalid("", "%w", err)
		}
		s.Log.File = cfg.Home(s.Log.File)
	}
	opt, err := slapos.ReadMaster(f)
	if err != nil {
		return fault.Invalid("", "%w", err)
	}
	store, end, err := openStore(ctx, s, o.database)
	if err != nil {
		return err
	}
	defer end()
	s.App.Log = slog.New(slog.NewTextHandler(&s.Log, nil)) // which writes one line at a time
	opt.Store, opt.Log = store, s.App.Log
	for _, x := range opt.Masters {
		if text := slapos.Unfit(x); text != "" {
			s.Log.Warn("%s: [%s%s] %s", f.Path, slapos.Multimaster, x.URL, text)
		}
	}
	if err := o.tls.open(&opt); err != nil {
		return err
	}
	defer controller.TuneGC()() // also while all that there is is read
	m, err := master.New(ctx, opt)
	if err != nil {
		return err
	}
	if err := slapos.MoveReleases(ctx, &s.Log, m, store, o.root, o.database); err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(o.host, o.port))
	if err != nil {
		return controller.CannotListen("host and port", net.JoinHostPort(o.host, o.port), err)
	}
	l, scheme := o.tls.listen(l, o.host)
	s.Log.Say("SlapOS master on %s://%s/, which keeps its state in %s", scheme, l.Addr(), shownStore(o.database))
	o.depot.Log = s.App.Log
	depot := cache.Handler(o.depot)
	defer depot.Close()
	srv := &http.Server{
		Handler: eitherHandler(o.names.Guard(slapos.WithBinaryCache(
			depot, o.tls.identify(m), withPanel(s, m, o, masterHandler(m, o.tls.identify(m), ctx.Done())),
		))),
		ConnContext: withEither, ErrorLog: slog.NewLogLogger(s.App.Log.Handler(), slog.LevelDebug),
	}
	err = server.Serve(ctx, srv, l, controller.Grace)
	if errors.Is(err, server.ErrCutOff) { // it was told to end, and has
		s.Log.Warn("%v", err)
		return nil
	}
	return err
}
