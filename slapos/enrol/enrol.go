// Package enrol asks the web side of a SlapOS master for certificates: a user's, for use of the
// master, and a computer's, for its node.
package enrol

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/slapos/proto"
	slapclient "github.com/hostler-project/hostler/slapos/proto/client"
)

// Web is the web side of a master, with the caller's credentials: a token, or a name and a
// password.
type Web struct {
	URL             string
	Token           string
	Login, Password string
	HTTP            *http.Client // nil is one with the usual settings
}

const (
	patience  = time.Minute
	maxAnswer = 1 << 20
	maxPage   = 64 << 10 // of an error
)

// ErrDenied says that the master does not take the token, or the name and password.
var ErrDenied = errors.New("denied")

// Person asks for a certificate of the user whose token it is.
func (w *Web) Person(ctx context.Context) (*proto.Certificate, error) {
	return w.ask(ctx, "Person_getCertificate", url.Values{})
}

// Computer asks for a new computer of a title, and returns its certificate and the reference that
// stands in it.
func (w *Web) Computer(ctx context.Context, title string) (*proto.Certificate, string, error) {
	pair, err := w.ask(ctx, "Person_requestComputer", url.Values{"title": {title}})
	if err != nil {
		return nil, "", err
	}
	id, err := Reference(pair.Certificate)
	return pair, id, err
}

// Client is an HTTP client with the given settings of TLS; nil: the usual ones. It follows no
// redirects, as one could carry the token to a stranger.
func Client(settings *tls.Config) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = settings
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// ask sends a form: by POST with a token, by GET with a name and a password.
func (w *Web) ask(ctx context.Context, name string, form url.Values) (*proto.Certificate, error) {
	base, err := url.Parse(w.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, errors.New("the URL of a master's web side is like https://slapos.example.com/")
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	at := base.JoinPath(name)
	method, body := http.MethodPost, form.Encode()
	if w.Token == "" {
		method, body, at.RawQuery = http.MethodGet, "", body
	}
	request, err := http.NewRequestWithContext(ctx, method, at.String(), strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s at %s: %w", name, base.Host, err)
	}
	if w.Token != "" {
		request.Header.Set("X-Access-Token", w.Token)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else {
		request.SetBasicAuth(w.Login, w.Password)
	}
	request.Header.Set("Accept", "application/json")
	client := w.HTTP
	if client == nil {
		client = Client(nil)
	}
	answer, err := client.Do(request)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return nil, fmt.Errorf("%s at %s: %w", name, base.Host, err)
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
		return nil, fmt.Errorf("%s at %s: %w", name, base.Host, ErrDenied)
	case answer.StatusCode < 200 || answer.StatusCode > 299:
		page, _ := io.ReadAll(io.LimitReader(answer.Body, maxPage)) // as much of it as comes
		return nil, fmt.Errorf(
			"%s at %s: it is answered with %s: %s", name, base.Host, answer.Status,
			cmp.Or(slapclient.Reason(page), "without a reason"),
		)
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s at %s: %w", name, base.Host, err)
	}
	var pair proto.Certificate
	if err := json.Unmarshal(data, &pair); err != nil {
		return nil, fmt.Errorf("%s at %s: the answer is not the JSON of a certificate and its key", name, base.Host)
	}
	if _, err := tls.X509KeyPair([]byte(pair.Certificate), []byte(pair.Key)); err != nil {
		return nil, fmt.Errorf("%s at %s: the answer is no certificate with its key: %w", name, base.Host, err)
	}
	return &pair, nil
}

// computer is the pattern of a computer's reference.
var computer = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`COMP-[0-9A-Za-z._-]+`) })

// Reference is the reference of a certificate's computer, which stands in its subject.
func Reference(certificate string) (string, error) {
	block, _ := pem.Decode([]byte(certificate))
	if block == nil {
		return "", errors.New("the computer's certificate is not in PEM")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("the computer's certificate: %w", err)
	}
	if id := computer().FindString(c.Subject.CommonName); id != "" {
		return id, nil
	}
	if id := computer().FindString(c.Subject.String()); id != "" {
		return id, nil
	}
	return "", errors.New("no reference of a computer (COMP-…) stands in its certificate")
}
