package callers

import (
	"cmp"
	"context"
	"net/url"
	"path/filepath"
	"time"

	"github.com/hostler-project/hostler/auth"
	certs "github.com/hostler-project/hostler/auth/certificate"
	"github.com/hostler-project/hostler/auth/signin"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/server/login"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/policy/fetch"
)

// Settings are the section [auth] of hostler.conf.
type Settings struct {
	// users who are administrators, besides the controller's own and root
	Admins    []string      `conf:"admins"`
	TokenLife time.Duration `conf:"token-life"` // the life of tokens that ask for none; 0: 90 days
	// the longest life that may be asked for; 0: 365 days
	TokenMaxLife time.Duration `conf:"token-max-life"`
	// how long entries of the audit log are kept; 0: 90 days
	AuditKeep time.Duration `conf:"audit-keep"`
	// requests of one user a second; 0: 1000; negative: no limit
	Requests     float64 `conf:"requests"`
	RequestBurst int     `conf:"request-burst"` // requests of one user at once; 0: 2000
	// requests of one user in progress, including streams and waiting ones; 0: 2000; negative: no
	// limit
	AtOnce int `conf:"at-once"`
	// failed authentications of one address a second; 0: 1; negative: no limit
	Failures     float64 `conf:"failures"`
	FailureBurst int     `conf:"failure-burst"` // failed authentications at once; 0: 30

	// Sign-in.
	signin.Options
	SecretRef string `conf:"client-secret"` // a reference; "": the client is public
	// the controller's address for browsers; "": as they say
	Address     string        `conf:"address"`
	LoginLife   time.Duration `conf:"login-life"`   // of hostler login's token; 0: 7 days
	SessionLife time.Duration `conf:"session-life"` // of a browser's session; 0: 12 hours

	// Certificates of clients.
	ClientCA   string `conf:"client-ca"`   // file
	ClientCRL  string `conf:"client-crl"`  // file
	ClientName string `conf:"client-name"` // the certificate's field with the name
}

const (
	usualLogin   = 7 * 24 * time.Hour
	usualSession = 12 * time.Hour
)

// ReadSettings reads the section [auth]. The files in it are relative to the file that names them.
func ReadSettings(cfg *config.Config) (*Settings, error) {
	s, section := &Settings{}, cfg.Sections["auth"]
	if err := host.DecodeSection(section, s); err != nil {
		return nil, err
	}
	for key, file := range map[string]*string{"client_ca": &s.ClientCA, "client_crl": &s.ClientCRL} {
		if *file != "" && !filepath.IsAbs(*file) {
			*file = filepath.Join(filepath.Dir(section[key].File), *file)
		}
	}
	return s, nil
}

// SignIn returns how people sign in. The operator names the issuer, so it may be anywhere; the
// guard judges addresses that the issuer's documents name.
func (s *Settings) SignIn(ctx context.Context, guard *fetch.Guard) (out login.SignIn, err error) {
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
	opt := s.Options
	if s.SecretRef != "" {
		if opt.Secret, err = config.Secret(ctx, s.SecretRef); err != nil {
			return out, host.ConfigError(err)
		}
	}
	opt.Reserved = reservedNames()
	opt.Transport = guard.And(fetch.RulesFor(s.Issuer)).Transport(nil)
	out.Provider, err = signin.New(opt)
	return out, err
}

// Limits returns how often callers may ask.
func (s *Settings) Limits() auth.LimitOptions {
	return auth.LimitOptions{
		Requests: s.Requests, RequestBurst: s.RequestBurst, AtOnce: s.AtOnce, Failures: s.Failures, FailureBurst: s.FailureBurst,
	}
}

// Certificates adds what is configured of certificates of clients to the files for TLS.
func (s *Settings) Certificates(opt certs.Options) certs.Options {
	opt.ClientCA = cmp.Or(opt.ClientCA, s.ClientCA)
	opt.Revoked, opt.Field = s.ClientCRL, s.ClientName
	return opt
}
