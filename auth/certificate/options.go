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

// Options name files in PEM, and say how clients are named. Cert and Key are required.
type Options struct {
	Cert, Key string // the controller's own, followed by its intermediates
	// authorities whose certificates identify clients; "": no certificates are asked for
	ClientCA string
	// the authorities' lists of revoked certificates, in PEM or a single one in DER; "": none
	Revoked string
	// ask for certificates of any authority, as another part of the server identifies clients too
	Ask   bool
	Field string // the certificate's field with the client's name, one of fields; "": the first
}

// fields are the fields of a certificate that may name its client.
var fields = []string{"common-name", "email", "dns", "uri"}

// state holds everything that was read at one time. It does not change, except for known.
type state struct {
	config *tls.Config
	roots  *x509.CertPool // nil: clients are not identified by certificates
	told   [][]byte       // authorities that clients are told of, in DER
	lists  []list
	strict bool // there are lists, so an authority without one is an error
	field  string
	known  known
}

// read reads and checks all files.
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
		// a resumed session would show what was true when it began
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
		s.config.ClientAuth = tls.RequestClientCert // do not list the known authorities
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
	// TLS only proves that the client owns the certificate. Each request checks whether it counts,
	// so that the answer can say why not.
	if s.config.ClientAuth = tls.RequestClientCert; !opt.Ask {
		s.config.ClientCAs = s.roots
		for _, a := range authorities {
			s.told = append(s.told, a.Raw)
		}
	}
	return s, nil
}

// bare removes the file's name from an error, as the caller adds it.
func bare(err error) error {
	if pe := (*os.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// readAuthorities reads the certificates of authorities from a file in PEM.
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
