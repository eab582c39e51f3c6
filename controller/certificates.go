package controller

import (
	"context"

	certs "github.com/hostler-project/hostler/auth/certificate"
	"github.com/hostler-project/hostler/compute/fault"
)

// certificates returns the files for TLS: those of serve's options, then those of a configuration.
func (o *Options) certificates(now *served) certs.Options {
	opt := now.auth.Certificates(certs.Options{Cert: o.Network.Cert, Key: o.Network.Key, ClientCA: o.Network.ClientCA})
	opt.Ask = now.slapos.HasAuthority()
	return opt
}

// openCertificates reads the certificates, if there is TLS.
func (k *controller) openCertificates(o Options) (err error) {
	k.options = o
	opt := o.certificates(k.now.Load())
	switch {
	case (opt.Cert == "") != (opt.Key == ""):
		return fault.Invalid("", "--tls-cert and --tls-key go together")
	case opt.Cert == "" && o.Network.ClientCA != "":
		return fault.Invalid("give --tls-cert and --tls-key too", "--client-ca: clients show certificates by TLS alone")
	case opt.Cert == "":
		if opt.ClientCA != "" && o.Network.Address != "" {
			k.Log.Warn("[auth] client-ca is of no use without TLS: nobody is known by a certificate")
		}
		return nil
	}
	k.files, err = certs.Load(opt)
	return err
}

// reloadCertificates reads the certificates of a configuration. After an error nothing has changed.
func (k *controller) reloadCertificates(next *served) error {
	if k.files == nil {
		return nil
	}
	return k.files.Reload(k.options.certificates(next))
}

// followCertificates reloads certificates, authorities and lists when their files have changed,
// until ctx ends.
func (k *controller) followCertificates(ctx context.Context) {
	if k.files != nil {
		k.files.AutoReload(ctx, k.Log, func() certs.Options { return k.options.certificates(k.now.Load()) })
	}
}
