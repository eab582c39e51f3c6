package cache

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// Options say where a directory is, and whose entries are trusted.
type Options struct {
	URL     string // http or https; a name and a password may stand in it
	Signers []*x509.Certificate
	Timeout time.Duration // of a question; 0 is a minute

	// Only for https. The files hold PEM.
	CertFile, KeyFile string // the client's identity; both or none
	// authorities for the directory's certificate; "": those that this machine trusts
	CAFile string
}

const (
	defaultTimeout = time.Minute
	maxAnswer      = 8 << 20 // bytes
)

// A Directory holds entries by key.
type Directory struct {
	http    *http.Client
	base    *url.URL
	signers []*x509.Certificate
	stall   time.Duration // of a store: how long nothing may come
}

// OpenDirectory makes a reader and asks nothing yet. [Directory.Close] ends its connections.
func OpenDirectory(o Options) (*Directory, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" {
		// without the URL: a password may stand in it
		return nil, errors.New("the URL of a cache's directory is like https://cache.example/shadir")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if base.Scheme == "https" {
		if transport.TLSClientConfig, err = client.TLS(o.CertFile, o.KeyFile, o.CAFile); err != nil {
			return nil, err
		}
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	return &Directory{base: base, signers: o.Signers, http: &http.Client{Transport: transport, Timeout: o.Timeout}}, nil
}

// Close ends the connections that are kept for the next question.
func (d *Directory) Close() { d.http.CloseIdleConnections() }

// Entries are those of a key, as the directory orders them, and how many more there are that cannot
// be read. A key without any is no error. Errors of the directory and of the way to it are a
// [*proto.Error].
func (d *Directory) Entries(ctx context.Context, key string) (entries []Entry, odd int, err error) {
	body, err := d.raw(ctx, key)
	if errors.Is(err, client.ErrNotFound) {
		return nil, 0, nil
	} else if err != nil {
		return nil, 0, err
	}
	if entries, odd, err = parseEntries(body, d.signers); err != nil {
		return nil, 0, d.error(http.StatusOK, proto.ErrMalformed, err)
	}
	return entries, odd, nil
}

// raw is the unparsed answer for a key: a list in JSON, of possible entries.
func (d *Directory) raw(ctx context.Context, key string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.base.JoinPath(url.PathEscape(key)).String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	answer, err := d.http.Do(request)
	if err != nil {
		return nil, d.fault(ctx, err)
	}
	defer answer.Body.Close()
	if err := d.refused(answer.StatusCode, http.StatusOK); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return nil, d.fault(ctx, err)
	}
	if len(body) > maxAnswer {
		return nil, d.error(http.StatusOK, proto.ErrMalformed, fmt.Errorf("an answer of more than %d bytes", maxAnswer))
	}
	var list []json.RawMessage
	if json.Unmarshal(body, &list) != nil {
		return nil, d.error(http.StatusOK, proto.ErrMalformed, errors.New("the answer is no list of entries"))
	}
	return body, nil
}

// fault is the error of a question that had no answer.
func (d *Directory) fault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the URL
	}
	kind := client.ErrUnreachable
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		kind = client.ErrUntrusted
	}
	return d.error(0, kind, err)
}

func (d *Directory) error(status int, kind, err error) error {
	return &client.Error{Op: "directory", Master: d.base.Host, Status: status, Kind: kind, Err: err}
}
