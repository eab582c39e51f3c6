package usercmd

import (
	"errors"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/cache"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// cacheOptions reads where a cache's directory is, and which signers are trusted.
func cacheOptions(s *session.Session, f *cfg.File, setting string) (o cache.Options, err error) {
	const section = "networkcache"
	var signers string
	for key, to := range map[string]*string{
		setting: &o.URL, "signature-certificate-list": &signers, "shadir-ca-file": &o.CAFile,
		"shadir-cert-file": &o.CertFile, "shadir-key-file": &o.KeyFile,
	} {
		if *to, err = f.Text(section, key); err != nil {
			return o, err
		}
	}
	if o.URL == "" {
		return o, f.Fail(section, setting, "is not there: it says where the cache's directory is, as in https://cache.example/shadir")
	}
	if o.Signers, err = cache.ParseSigners(signers); err != nil {
		return o, f.Fail(section, "signature-certificate-list", "cannot be read: %v", err)
	}
	if len(o.Signers) == 0 {
		s.Log.Warn("signature-certificate-list in [%s] is empty: no entry can be verified.", section)
	}
	return o, nil
}

// cacheFailure adds a hint to an error of a cache.
func cacheFailure(s *session.Session, err error) error {
	hints := map[error]string{client.ErrDenied: "a name and a password may stand in the directory's URL; shadir-cert-file and shadir-key-file say who asks",
		client.ErrUntrusted:   "shadir-ca-file in [networkcache] names who signs the cache's certificate",
		client.ErrUnreachable: "is the directory's URL in [networkcache] right?"}
	for kind, hint := range hints {
		if errors.Is(err, kind) {
			var e *compute.Error
			if errors.As(session.Hinted(err), &e) {
				e.Hint = hint
				return e
			}
		}
	}
	return err
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func signedWord(v *CachedView) string {
	if v.Signed && !v.Verified {
		return "by others"
	}
	return yesNo(v.Verified)
}
