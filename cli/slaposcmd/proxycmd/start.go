package proxycmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/controller/slapos"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/policy/fetch"
	"github.com/hostler-project/hostler/slapos/cache"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/master/web"
	"github.com/hostler-project/hostler/slapos/slapproxy"
	"github.com/hostler-project/hostler/store/postgres"
	"github.com/hostler-project/hostler/store/sqlite"
)

// New makes the commands of a master of one's own.
func New(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "proxy",
		Short:   "Be a master for SlapOS",
		Example: "  hostler slapos proxy start --cfg slapos.cfg",
		Args:    cobra.ArbitraryArgs,
		RunE:    s.Group,
	}
	cmd.AddCommand(newStart(s), newShow(s), newImport(s), newCertificate(s))
	return cmd
}

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

// startOptions is what a master of one's own is started with.
type startOptions struct {
	database, port, host string
	public               string // directory of files for all clients; "": none
	root                 string // below which releases are that are files; "": as before
	names                slapos.Names
	depot                cache.ServeOptions
	tls                  tlsSettings
	allow, deny          fetch.Rules // where the page leads to
}

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
	opt, err := masterOptions(f)
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
			s.Log.Warn("%s: [%s%s] %s", f.Path, multimaster, x.URL, text)
		}
	}
	if err := o.tls.open(&opt); err != nil {
		return err
	}
	defer controller.SpareCollections()() // also while all that there is is read
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
		Handler: eitherHandler(o.names.Guard(slapos.WithDepot(
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

// masterHandler is all that a master answers. Pages of other sites in a browser cannot ask it.
func masterHandler(m *master.Master, who func(*http.Request) (access.Who, error), ending <-chan struct{}) http.Handler {
	return http.NewCrossOriginProtection().Handler(web.New(m, web.Options{Who: who, Ending: ending}))
}

// read completes what was not given from the file.
func (o *startOptions) read(f *cfg.File) error {
	for key, to := range map[string]*string{
		"database_uri": &o.database, "port": &o.port, "host": &o.host, "local_software_release_root": &o.root,
	} {
		if *to != "" {
			continue
		}
		text, err := f.First(key, "slapproxy", "slapos")
		if err != nil {
			return err
		}
		*to = text
	}
	o.port, o.host = cmp.Or(o.port, "5000"), cmp.Or(o.host, "127.0.0.1")
	var err error
	if _, bad := strconv.ParseUint(o.port, 10, 16); bad != nil {
		const reason = "is no port: a number up to 65535"
		for _, section := range []string{"slapproxy", "slapos"} {
			if text, _ := f.Text(section, "port"); text == o.port && f.Has(section, "port") {
				return f.Fail(section, "port", reason)
			}
		}
		return fmt.Errorf("--port %s: it %s", o.port, reason)
	}
	if o.tls, err = readTLS(f, o.host); err != nil {
		return err
	}
	if o.names, err = slapos.ReadNames(f, o.host); err != nil {
		return err
	}
	if o.depot, err = slapos.ReadDepot(f); err != nil {
		return err
	}
	if o.public, err = publicDirectory(f); err != nil {
		return err
	}
	if err := o.readFetch(f); err != nil {
		return err
	}
	if o.database == "" {
		if o.database, err = defaultStore(); err != nil {
			return err
		}
	}
	return nil
}

// defaultStore returns where a master keeps its data by default.
func defaultStore() (string, error) {
	dir, err := host.StateDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "slapos.db"), nil
}

// storeAddress is where a master keeps what it knows: where it was said, else where its file says,
// else defaultStore.
func storeAddress(f *cfg.File, said string) (string, error) {
	if said != "" {
		return said, nil
	}
	named, err := f.First("database_uri", "slapproxy", "slapos")
	if err != nil {
		return "", fault.Invalid("", "%w", err)
	}
	if named != "" {
		return named, nil
	}
	return defaultStore()
}

// inFile says whether an address is the name of a file.
func inFile(address string) bool {
	return !config.IsReference(address) && !strings.HasPrefix(address, "postgres://") && !strings.HasPrefix(address, "postgresql://")
}

// shownStore returns an address without its secrets, to show to the user.
func shownStore(address string) string {
	if inFile(address) {
		return address
	}
	return host.ShownAddress(address)
}

// openStore opens what keeps the state.
func openStore(ctx context.Context, s *session.Session, address string) (ledger.Store, func(), error) {
	if inFile(address) {
		store, err := sqlite.Open(ctx, address, sqlite.Options{})
		if errors.Is(err, compute.ErrConflict) && slapproxy.Is(ctx, address) {
			return nil, nil, fault.Conflict(
				"hostler slapos proxy import "+address+" --database-uri FILE takes it over into another file",
				"%s is a database of slapproxy", address,
			)
		}
		// the hint of the state directory would lead astray
		if errors.Is(err, compute.ErrDenied) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			return nil, nil, &compute.Error{
				ID: "database_uri", Kind: compute.ErrInvalid, Err: err,
				Hint: "it names the file in which the master keeps its state, which must be yours and writable; --database-uri FILE names another",
			}
		} else if err != nil {
			return nil, nil, err
		}
		return store, func() { _ = store.Close() }, nil
	}
	if config.IsReference(address) {
		secret, err := config.Secret(ctx, address)
		if err != nil {
			return nil, nil, fault.Invalid(host.AddressHint, "database_uri: %w", err)
		}
		address = secret
	} else if host.HasPassword(address) {
		return nil, nil, fault.Invalid(host.AddressHint, "database_uri: a password does not belong in this file")
	}
	store, err := postgres.Open(ctx, address, postgres.Options{Log: s.App.Log})
	if err != nil {
		return nil, nil, err
	}
	return store, func() { _ = store.Close() }, nil
}

const multimaster = "multimaster/"

// masterOptions reads what a master is to be.
func masterOptions(f *cfg.File) (opt master.Options, err error) {
	if opt.Computer, err = f.First("computer_id", "slapos", "slapproxy"); err != nil {
		return opt, err
	}
	section := "slapos"
	if f.Has("slapproxy", "software_product_list") {
		section = "slapproxy"
	}
	lines, err := f.Lines(section, "software_product_list")
	if err != nil {
		return opt, err
	}
	for _, line := range lines {
		if !slapos.AddProduct(&opt, line) {
			return opt, f.Fail(section, "software_product_list", "has a line that is not NAME URL: %q", line)
		}
	}
	if f.Has("slapproxy", "frontends") {
		lines, err := f.Lines("slapproxy", "frontends")
		if err != nil {
			return opt, err
		}
		var bad string
		if opt.Frontends, bad = master.ParseFrontends(lines); bad != "" {
			return opt, f.Fail("slapproxy", "frontends", "has a line that is not PART-OF-URL [TYPE] url|host: %q", bad)
		}
	}
	opt.Forwards = true // the panel does
	for _, section := range f.Sections() {
		named, ok := strings.CutPrefix(section, multimaster)
		if !ok {
			continue
		}
		x := master.External{URL: named}
		for key, to := range map[string]*string{
			"key": &x.KeyFile, "cert": &x.CertFile, "ca": &x.CAFile, "computer": &x.Computer, "partition": &x.Partition,
		} {
			if *to, err = f.Text(section, key); err != nil {
				return opt, err
			}
		}
		if x.Releases, err = f.Lines(section, "software_release_list"); err != nil {
			return opt, err
		}
		opt.Masters = append(opt.Masters, x)
	}
	return opt, nil
}
