package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hostler-project/hostler/slapos/proto"
)

// Options say which master a client speaks to, and with which identity.
type Options struct {
	// of the master, http or https; a bare IPv6 address as the host gets its brackets
	URL     string
	RestURL string        // of its hypermedia API; "" asks the master
	Timeout time.Duration // of a call from its begin to the end of its answer; 0 is a minute

	// Only for https. The files hold PEM.
	CertFile, KeyFile string // the client's identity; both or none
	CAFile            string // authorities for the master's certificate; "": this machine's
	Insecure          bool   // takes any certificate of a master, as the reference's client does

	UserAgent string // "" is hostler

	// Passed are the masters, by their run ids, that passed a request on until it came to this
	// client: the next one is told, so that none has it come back.
	Passed []string
}

// PassedHeader is the header of requests that has Options.Passed, with commas between them. Only
// masters of ours know it.
const PassedHeader = "Hostler-Passed"

const defaultTimeout = time.Minute

// A Client speaks to a master. Every method makes one call or a few, and may be called
// concurrently. It fails with an [*Error] if the master or the way to it is the reason. Nothing is
// retried, unless a method says so.
type Client struct {
	http    *http.Client
	base    *url.URL
	agent   string
	timeout time.Duration
	passed  string

	hypermedia *Hypermedia
}

// New makes a client and asks nothing yet. [Client.Close] ends its connections.
func New(o Options) (*Client, error) {
	base, err := parseMaster(o.URL)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if base.Scheme == "https" {
		if transport.TLSClientConfig, err = o.tls(); err != nil {
			return nil, err
		}
	}
	c := &Client{base: base, agent: o.UserAgent, timeout: o.Timeout, passed: strings.Join(o.Passed, ","),
		http: &http.Client{Transport: transport, CheckRedirect: checkRedirect}}
	c.hypermedia = &Hypermedia{c: c, rest: o.RestURL}
	if c.agent == "" {
		c.agent = "hostler"
	}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	return c, nil
}

// Hypermedia is the hypermedia API of the client's master.
func (c *Client) Hypermedia() *Hypermedia { return c.hypermedia }

// Close ends the connections that are kept for the next call.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// parseMaster reads the URL of a master. An IPv6 address may stand without brackets, and the
// path gets a slash at its end.
func parseMaster(text string) (*url.URL, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if ok {
		host, path, _ := strings.Cut(rest, "/")
		if address, err := netip.ParseAddr(host); err == nil && address.Is6() {
			text = scheme + "://[" + host + "]/" + path
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("slap: the URL of a master is like https://slap.example.com/, not %.200q", redacted(text))
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
		u.RawPath = ""
	}
	return u, nil
}

// redacted is a URL without the password that may stand in it.
func redacted(text string) string {
	if at := strings.LastIndex(text, "@"); at >= 0 {
		return "…" + text[at:]
	}
	return text
}

func (o *Options) tls() (*tls.Config, error) {
	config, err := TLS(o.CertFile, o.KeyFile, o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("slap: %w", err)
	}
	config.InsecureSkipVerify = o.Insecure
	return config, nil
}

// TLS is the configuration of a client of SlapOS's services. certFile and keyFile are its identity,
// in PEM: both or none. caFile has the authorities; "": those that this machine trusts. The
// identity is read anew for a connection when the files have changed.
func TLS(certFile, keyFile, caFile string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if (certFile == "") != (keyFile == "") {
		return nil, errors.New("a certificate and its key go together: one of the two files is not named")
	}
	if certFile != "" {
		i, err := newIdentity(certFile, keyFile)
		if err != nil {
			return nil, err
		}
		config.GetClientCertificate = i.certificate
	}
	if caFile != "" {
		data, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("the certificates of authorities: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", caFile)
		}
	}
	return config, nil
}

// checkRedirect follows what a master says, but not from https to http.
func checkRedirect(next *http.Request, before []*http.Request) error {
	if len(before) >= 10 {
		return errors.New("more than 10 redirects")
	}
	if before[0].URL.Scheme == "https" && next.URL.Scheme != "https" {
		return errors.New("a redirect from https to http, which is not followed")
	}
	if before[0].URL.Hostname() != next.URL.Hostname() {
		return fmt.Errorf("a redirect to another host, %.200q, which is not followed", next.URL.Hostname())
	}
	return nil
}

// call is one exchange with the master.
type call struct {
	op     string // names it in errors
	method string
	url    string
	kind   string // of the body, "" without one
	body   string
	accept string
}

// do sends a call and returns the body of its answer, which is one of success.
func (c *Client) do(ctx context.Context, call call) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, errTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, call.method, call.url, strings.NewReader(call.body))
	if err != nil {
		return nil, c.callError(ctx, call.op, err)
	}
	if call.body == "" {
		request.Body, request.ContentLength = http.NoBody, 0
	}
	request.Header.Set("User-Agent", c.agent)
	request.Header.Set("Accept", call.accept)
	if c.passed != "" {
		request.Header.Set(PassedHeader, c.passed)
	}
	if call.kind != "" {
		request.Header.Set("Content-Type", call.kind)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, c.callError(ctx, call.op, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		// An error's text is for people; more than this none reads.
		body, _ := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
		err := c.refusal(call.op, answer.StatusCode, body)
		// the next connection may have another identity, by a certificate that was replaced
		if errors.Is(err, ErrDenied) {
			_ = answer.Body.Close()
			c.http.CloseIdleConnections()
		}
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, proto.MaxSize+1))
	if err != nil {
		return nil, c.callError(ctx, call.op, err)
	}
	if len(body) > proto.MaxSize {
		return nil, c.badAnswer(call.op, proto.Malformed("", "an answer of more than %d bytes", proto.MaxSize))
	}
	return body, nil
}

// get and post call a legacy endpoint.
func (c *Client) get(ctx context.Context, endpoint string, query url.Values) ([]byte, error) {
	u := c.base.JoinPath(endpoint)
	u.RawQuery = query.Encode()
	return c.do(ctx, call{op: endpoint, method: http.MethodGet, url: u.String(), accept: "*/*"})
}

func (c *Client) post(ctx context.Context, endpoint string, form url.Values) ([]byte, error) {
	return c.do(ctx, call{op: endpoint, method: http.MethodPost, url: c.base.JoinPath(endpoint).String(), accept: "*/*",
		kind: "application/x-www-form-urlencoded", body: form.Encode()})
}

// value reads the value that an endpoint answered.
func (c *Client) value(endpoint string, body []byte, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	v, err := proto.Unmarshal(body)
	if err != nil {
		return nil, c.badAnswer(endpoint, err)
	}
	return v, nil
}

// fields makes a form or query of names and values.
func fields(pairs ...string) url.Values {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return form
}
