package enrol_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/enrol"
)

// pair makes a certificate of a subject, and its key.
func pair(t *testing.T, subject pkix.Name) (certificate, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: subject, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}))
}

func TestEnrol(t *testing.T) {
	certificate, key := pair(t, pkix.Name{CommonName: "COMP-42"})
	answer, code := "", 0
	var asked string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		login, password, _ := r.BasicAuth()
		asked = fmt.Sprintf(
			"%s %s title=%s token=%s login=%s:%s", r.Method, r.URL.Path, r.FormValue("title"),
			r.Header.Get("X-Access-Token"), login, password,
		)
		w.WriteHeader(code)
		fmt.Fprint(w, answer)
	}))
	defer s.Close()
	good, _ := json.Marshal(map[string]string{"certificate": certificate, "key": key})
	answer, code = string(good), http.StatusOK

	web := &enrol.Web{URL: s.URL + "/web", Token: "T"}
	got, err := web.Person(t.Context())
	if err != nil || got.Certificate != certificate || got.Key != key || asked != "POST /web/Person_getCertificate title= token=T login=:" {
		t.Errorf("person: %v %s", err, asked)
	}
	_, id, err := web.Computer(t.Context(), "My computer")
	if err != nil || id != "COMP-42" || asked != "POST /web/Person_requestComputer title=My computer token=T login=:" {
		t.Errorf("computer: %s %v %s", id, err, asked)
	}
	web = &enrol.Web{URL: s.URL, Login: "me", Password: "secret"}
	if _, _, err = web.Computer(t.Context(), "c"); err != nil || asked != "GET /Person_requestComputer title=c token= login=me:secret" {
		t.Errorf("by password: %v %s", err, asked)
	}

	for _, c := range []struct {
		code   int
		answer string
		want   string
	}{
		{http.StatusUnauthorized, "", "denied"}, {http.StatusFound, "", "302"},
		{http.StatusInternalServerError, "", "500"}, {http.StatusOK, "<html>", "not the JSON"},
		{http.StatusOK, `{"certificate":"a","key":"b"}`, "no certificate with its key"},
	} {
		code, answer = c.code, c.answer
		if _, err := web.Person(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) ||
			strings.Contains(err.Error(), "secret") || errors.Is(err, enrol.ErrDenied) != (c.code == 401) {
			t.Errorf(
				"c.code = %d c.answer = %s: err = %v"+
					`; want an error and err.Error() with c.want and err.Error() without "secret" and `+
					"errors.Is(err, enrol.ErrDenied) == (c.code == 401)",
				c.code, c.answer, err,
			)
		}
	}
	if _, err := (&enrol.Web{URL: "slapos.example.com"}).Person(t.Context()); err == nil {
		t.Error("a URL that is none")
	}
	s.Close()
	if _, err := web.Person(t.Context()); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestReference(t *testing.T) {
	for want, subject := range map[string]pkix.Name{
		"COMP-1": {CommonName: "COMP-1"}, "COMP-2": {CommonName: "x", Organization: []string{"COMP-2"}},
		"": {CommonName: "x"},
	} {
		certificate, _ := pair(t, subject)
		if got, err := enrol.Reference(certificate); got != want || (err == nil) != (want != "") {
			t.Errorf(`%v: got = %s, err = %v; want got == want and (err == nil) == (want != "")`, subject, got, err)
		}
	}
	if _, err := enrol.Reference("x"); err == nil {
		t.Error("no PEM")
	}
}
