package controller

import (
	"cmp"
	"context"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	certs "github.com/hostler-project/hostler/auth/certificate"
	"github.com/hostler-project/hostler/auth/signin"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/server/login"
	"github.com/hostler-project/hostler/controller/slapos"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/policy/fetch"
)

// signingIn are the keys of [auth] for sign-in and for certificates.
type signingIn struct {
	signin.Options
	SecretRef string `conf:"client-secret"` // a reference; "": the client is public
	// the controller's address for browsers; "": as they say
	Address     string        `conf:"address"`
	LoginLife   time.Duration `conf:"login-life"`   // of hostler login's token; 0: 7 days
	SessionLife time.Duration `conf:"session-life"` // of a browser's session; 0: 12 hours

	ClientCA   string `conf:"client-ca"`   // file
	ClientCRL  string `conf:"client-crl"`  // file
	ClientName string `conf:"client-name"` // the certificate's field with the name
}

const (
	usualLogin   = 7 * 24 * time.Hour
	usualSession = 12 * time.Hour
)

// provider returns how people sign in, by a configuration. The operator names the issuer, so it may
// be anywhere; the guard judges addresses that the issuer's documents name.
func (s *signingIn) provider(ctx context.Context, guard *fetch.Guard) (out login.SignIn, err error) {
	out = login.SignIn{Address: s.Address, Life: cmp.Or(s.LoginLife, usualLogin), PageLife: cmp.Or(s.SessionLife, usualSession)}
	if u, err := url.Parse(s.Address); s.Address != "" &&
		(err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Path != "" && u.Path != "/") {
		return out, fault.Invalid(
			"address = https://hostler.example.org", "[auth] address: %q is not where browsers find a controller",
			s.Address,
		)
	}
	if s.Issuer == "" {
		return out, nil
	}
	if s.SecretRef != "" {
		if s.Secret, err = config.Secret(ctx, s.SecretRef); err != nil {
			return out, host.ConfigError(err)
		}
	}
	s.Reserved = reservedNames()
	s.Transport = guard.And(fetch.Named(s.Issuer)).Transport(nil)
	out.Provider, err = signin.New(s.Options)
	return out, err
}

// certificates returns the files for TLS: those of serve's options, then those of the
// configuration.
func (o *Options) certificates(cfg *config.Config) (certs.Options, error) {
	said, err := readAuthorizing(cfg)
	if err != nil {
		return certs.Options{}, err
	}
	near := func(key, file string) string { // relative to the file that has the key
		if file == "" || filepath.IsAbs(file) {
			return file
		}
		return filepath.Join(filepath.Dir(cfg.Sections["auth"][key].File), file)
	}
	out := certs.Options{
		Cert: o.Network.Cert, Key: o.Network.Key, ClientCA: cmp.Or(o.Network.ClientCA, near("client_ca", said.ClientCA)),
		Revoked: near("client_crl", said.ClientCRL), Field: said.ClientName,
	}
	if out.Ask, err = slapos.HasAuthority(cfg); err != nil {
		return out, err
	}
	if o.Network.Cert == "" && o.Network.ClientCA != "" {
		return out, fault.Invalid("give --tls-cert and --tls-key too", "--client-ca: clients show certificates by TLS alone")
	}
	return out, nil
}

// openCertificates reads the certificates, if there is TLS.
func (k *controller) openCertificates(o Options) error {
	k.options, k.looked = o, nil
	if (o.Network.Cert == "") != (o.Network.Key == "") {
		return fault.Invalid("", "--tls-cert and --tls-key go together")
	}
	opt, err := o.certificates(k.now.Load().cfg)
	if err != nil || o.Network.Cert == "" {
		if opt.ClientCA != "" && o.Network.Address != "" {
			k.Log.Warn("[auth] client-ca is of no use without TLS: nobody is known by a certificate")
		}
		return err
	}
	k.looked = lookAt(opt) // before they are read, so that a change meanwhile is seen
	k.files, err = certs.Load(opt)
	return err
}

// lookAt returns the state of the files for TLS, to compare later; nil: one cannot be looked at.
func lookAt(opt certs.Options) (found []os.FileInfo) {
	for _, file := range []string{opt.Cert, opt.Key, opt.ClientCA, opt.Revoked} {
		if file == "" {
			continue
		}
		info, err := os.Stat(file)
		if err != nil {
			return nil
		}
		found = append(found, info)
	}
	return found
}

// reloadCertificates reads the certificates of a configuration. After an error nothing has changed.
func (k *controller) reloadCertificates(cfg *config.Config) error {
	opt, err := k.options.certificates(cfg)
	if err != nil || k.files == nil {
		return err
	}
	return k.files.Reload(opt)
}

// certificatesLook is how often to check whether the files have changed, as programs that renew
// certificates do not tell.
const certificatesLook = 5 * time.Second

// followCertificates reloads certificates, authorities and lists when their files have changed,
// until ctx ends. A failure is logged once and tried again.
func (k *controller) followCertificates(ctx context.Context) {
	if k.files == nil {
		return
	}
	look := func() []os.FileInfo {
		opt, err := k.options.certificates(k.now.Load().cfg)
		if err != nil {
			return nil
		}
		return lookAt(opt)
	}
	same := func(a, b os.FileInfo) bool {
		return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
	}
	was, said := k.looked, ""
	for tick := time.NewTicker(certificatesLook); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		now := look()
		if len(now) == 0 || slices.EqualFunc(was, now, same) {
			continue
		}
		// it may fail while only one of the two files is new
		if err := k.reloadCertificates(k.now.Load().cfg); err != nil {
			if said != err.Error() {
				k.Log.Warn("the new certificates cannot be used: the old ones stay", "err", err)
				said = err.Error()
			}
			continue
		}
		was, said = now, ""
		k.Log.Info("the certificates were read anew", "file", k.options.Network.Cert)
	}
}
