package apiprocess

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"unicode"

	"github.com/hostler-project/hostler/auth/certificate"
	"github.com/hostler-project/hostler/controller/server"
)

// mostChain is how many certificates a client may show, and mostMeta how long what is said of a
// request may be.
const (
	mostChain = 8
	mostMeta  = 48 << 10
)

// longestZone is how long the name of an interface may be.
const longestZone = 15

// addressOf reads an address that the API process says. A zone is the plain name of an interface.
func addressOf(text string) (netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(text)
	odd := func(c rune) bool {
		return c > unicode.MaxASCII || !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("-_.", c)
	}
	if zone := at.Addr().Zone(); err == nil && (len(zone) > longestZone || strings.ContainsFunc(zone, odd)) {
		err = errors.New("no name of an interface")
	}
	return at, err
}

// maxQuestion is how long a question for a signature may be.
const maxQuestion = 16 << 10

// engineHandler answers the API process in the engine. What it says of a request is checked; it
// cannot say who makes it.
func engineHandler(files *certificate.Files, next http.Handler) http.Handler {
	var awaited deliveries
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said, err := metaOf(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		switch said.Ask {
		case askReceived:
			var got delivery
			if err := json.NewDecoder(io.LimitReader(r.Body, maxQuestion)).Decode(&got); err == nil {
				awaited.report(got)
			}
			return
		case askCertificate, askSign:
			if files == nil {
				http.Error(w, "there is no TLS", http.StatusNotFound)
				return
			}
			answerTLS(w, r, files, said.Ask == askSign)
			return
		}
		ctx, err := said.restore(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w, end := awaited.writer(w, r, said)
		defer end()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// metaOf takes what is said of a request off it.
func metaOf(r *http.Request) (meta, error) {
	var said meta
	given := r.Header.Values(metaHeader)
	r.Header.Del(metaHeader)
	if len(given) != 1 || len(given[0]) > mostMeta {
		return said, errors.New("nothing is said of this request")
	}
	if err := json.Unmarshal([]byte(given[0]), &said); err != nil {
		return said, fmt.Errorf("what is said of this request: %w", err)
	}
	return said, nil
}

// restore makes a request what it was where it came in, and returns its context.
func (m *meta) restore(r *http.Request) (context.Context, error) {
	from, err := addressOf(m.From)
	if err != nil {
		return nil, errors.New("no address from which this request came")
	}
	at, err := addressOf(m.At)
	if err != nil {
		return nil, errors.New("no address at which this request came")
	}
	r.RemoteAddr, r.TLS = from.String(), nil
	if m.TLS {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, Version: tls.VersionTLS13}
		if len(m.Chain) > mostChain {
			return nil, errors.New("too many certificates")
		}
		for _, der := range m.Chain {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				return nil, errors.New("a client's certificate that is none")
			}
			r.TLS.PeerCertificates = append(r.TLS.PeerCertificates, c)
		}
	}
	ctx := context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(net.TCPAddrFromAddrPort(at)))
	switch m.Ask {
	case askServe:
		return ctx, nil
	case askPage:
		return context.WithValue(ctx, pageKey{}, true), nil
	case askKnown:
		return server.Refused(ctx, http.StatusNoContent), nil
	case askRefuse:
		if m.Status < 400 || m.Status > 599 {
			return nil, errors.New("a refusal without a status")
		}
		return server.Refused(ctx, m.Status), nil
	}
	return nil, errors.New("an unknown question")
}

type pageKey struct{}

// allowPage answers that the page may be shown, as files are for everybody.
func allowPage(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(pageKey{}) == nil {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set(server.RefusedHeader, "true")
		w.WriteHeader(http.StatusNoContent)
	})
}

// answerTLS tells what is public of the certificate, or signs.
func answerTLS(w http.ResponseWriter, r *http.Request, files *certificate.Files, sign bool) {
	if !sign {
		_ = json.NewEncoder(w).Encode(files.Public())
		return
	}
	var q certificate.Signing
	err := json.NewDecoder(io.LimitReader(r.Body, maxQuestion)).Decode(&q)
	var signature []byte
	if err == nil {
		signature, err = files.Sign(q)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = w.Write(signature) // nobody is left to tell
}
