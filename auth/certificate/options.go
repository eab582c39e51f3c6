package certificate

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/hostler-project/hostler/compute"
)

// Options are files in PEM, and how clients are named. Cert and Key are required.
type Options struct {
	Cert, Key string // the controller's own, with what leads to its authority
	// the authorities whose certificates make a client somebody; "": certificates are not asked for
	ClientCA string
	// their lists of revoked certificates, in PEM or one in DER; "": there are none
	Revoked string
	// certificates are asked for whoever has signed them, as others too look at what a client shows
	Ask   bool
	Field string // of a certificate, which is the name: one of Fields; "": the first
}

// fields are where a certificate may have the name.
var fields = []string{"common-name", "email", "dns", "uri"}

// state is what was read at one time.
type state struct {
	config *tls.Config
	roots  *x509.CertPool // nil: no client is known by a certificate
	told   [][]byte       // authorities that clients are told of, in DER
	lists  []list
	strict bool // there are lists, so an authority without one is an error
	field  string
	known  known
}

// read reads all files.
func read(opt Options) (*state, error) {
	wrong := func(file string, err error) error {
		return &compute.Error{Op: "certificate", Kind: compute.ErrInvalid, Err: fmt.Errorf("%s: %w", file, err)}
	}
	pair, err := tls.LoadX509KeyPair(opt.Cert, opt.Key)
	if err != nil {
		return nil, wrong(opt.Cert, bare(err))
	}
	s := &state{field: opt.Field, config: &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		// a session that is taken up again would show what was true when it began
		SessionTicketsDisabled: true,
	}}
	if s.field == "" {
		s.field = fields[0]
	}
	if !slices.Contains(fields, s.field) {
		return nil, &compute.Error{
			Op: "certificate", Kind: compute.ErrInvalid,
			Err: fmt.Errorf("%q is no field of a certificate that names a client: they are %q", s.field, fields),
		}
	}
	if opt.Ask {
		s.config.ClientAuth = tls.RequestClientCert // without a word of which authorities are known
	}
	if opt.ClientCA == "" {
		if opt.Revoked != "" {
			return nil, wrong(opt.Revoked, errors.New("says which certificates are revoked, and no authority is known whose they could be"))
		}
		return s, nil
	}
	authorities, err := readAuthorities(opt.ClientCA)
	if err != nil {
		return nil, wrong(opt.ClientCA, err)
	}
	s.roots = x509.NewCertPool()
	for _, a := range authorities {
		s.roots.AddCert(a)
	}
	if opt.Revoked != "" {
		if s.lists, err = readLists(opt.Revoked, authorities); err != nil {
			return nil, wrong(opt.Revoked, err)
		}
		s.strict = true
	}
	// TLS only has the client prove that the certificate is its own. Whether it counts is asked
	// with each request, whose answer can say why not.
	if s.config.ClientAuth = tls.RequestClientCert; !opt.Ask {
		s.config.ClientCAs = s.roots
		for _, a := range authorities {
			s.told = append(s.told, a.Raw)
		}
	}
	return s, nil
}

// bare takes off what says the file again.
func bare(err error) error {
	if pe := (*os.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func readAuthorities(file string) (out []*x509.Certificate, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, bare(err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("has a %s; only certificates of authorities belong here", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if !c.BasicConstraintsValid || !c.IsCA {
			return nil, fmt.Errorf("the certificate of %s is no authority's", c.Subject)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("has no certificate in PEM")
	}
	return out, nil
}

// readLists reads lists of revoked certificates. Each must be signed by one of the authorities.
func readLists(file string, authorities []*x509.Certificate) (out []list, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, bare(err)
	}
	var ders [][]byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "X509 CRL" {
			ders = append(ders, block.Bytes)
		}
	}
	if len(ders) == 0 {
		ders = [][]byte{text}
	}
	for _, der := range ders {
		parsed, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, fmt.Errorf("no list of revoked certificates: %w", err)
		}
		by := slices.IndexFunc(authorities, func(a *x509.Certificate) bool {
			return bytes.Equal(a.RawSubject, parsed.RawIssuer) && parsed.CheckSignatureFrom(a) == nil
		})
		if by < 0 {
			return nil, fmt.Errorf("the list of %s is signed by none of the authorities", parsed.Issuer)
		}
		l := list{issuer: authorities[by], until: parsed.NextUpdate, serials: map[string]bool{}}
		for _, e := range parsed.RevokedCertificateEntries {
			l.serials[e.SerialNumber.String()] = true
		}
		out = append(out, l)
	}
	return out, nil
}
