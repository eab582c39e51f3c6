package signin_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/auth/signin"
	"github.com/hostler-project/hostler/compute"
)

// liar is a provider that signs whatever a test says: what a real one never, or seldom, says.
type liar struct {
	*httptest.Server
	key *rsa.PrivateKey
}

func newLiar(t *testing.T) *liar {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	l := &liar{key: key}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := map[string]any{
			"issuer": l.URL, "jwks_uri": l.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
		}
		if r.URL.Path == "/keys" {
			answer = map[string]any{"keys": []any{map[string]any{
				"kty": "RSA", "alg": "RS256", "kid": "1", "use": "sig", "n": part(key.N.Bytes()),
				"e": part(big.NewInt(int64(key.E)).Bytes()),
			}}}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(l.Close)
	return l
}

func part(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// sign makes an ID token.
func (l *liar) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text := part([]byte(`{"alg":"RS256","kid":"1"}`)) + "." + part(body)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, l.key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + part(signature)
}

// TestClaims: each claim that is looked at, wrong by itself.
func TestClaims(t *testing.T) {
	l := newLiar(t)
	now := time.Now()
	good := map[string]any{
		"iss": l.URL, "sub": "1", "aud": "cli", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"email": "ann@example.org", "email_verified": true, "groups": []string{"dev"},
	}
	p := believe(t, l.URL, func(o *signin.Options) { o.ClientID, o.LoginClientID = "page", "cli" })
	for _, test := range []struct {
		name    string
		change  map[string]any
		word    string // the verifier
		browser bool
		refused string // "": it is taken
	}{
		{"good", nil, "", false, ""},
		{"verified in a word", map[string]any{"email_verified": "true"}, "", false, ""},
		{"not verified in a word", map[string]any{"email_verified": "false"}, "", false, "not verified"},
		{"not said whether verified", map[string]any{"email_verified": nil}, "", false, "not verified"},
		{"verified as a number", map[string]any{"email_verified": 1}, "", false, "not verified"},
		{"another issuer", map[string]any{"iss": "https://id.example.org"}, "", false, "different provider"},
		{"another audience", map[string]any{"aud": "other"}, "", false, "is for"},
		{"the page's, shown by a program", map[string]any{"aud": "page"}, "", false, "is for"},
		{"a program's, shown by a browser", map[string]any{"nonce": signin.Challenge("w")}, "w", true, "is for"},
		{"no audience", map[string]any{"aud": nil}, "", false, "is for"},
		{"several, given to us", map[string]any{"aud": []string{"other", "cli"}, "azp": "cli"}, "", false, ""},
		{"several, given to another", map[string]any{"aud": []string{"other", "cli"}, "azp": "other"}, "", false, "given to"},
		{"several, and not said to whom", map[string]any{"aud": []string{"other", "cli"}}, "", false, "given to"},
		{"given to another", map[string]any{"azp": "other"}, "", false, "given to"},
		{"old", map[string]any{"iat": now.Add(-signin.Fresh - time.Minute).Unix()}, "", false, "is taken for"},
		{"of tomorrow", map[string]any{"iat": now.Add(time.Hour).Unix()}, "", false, "is taken for"},
		{"without a time", map[string]any{"iat": nil}, "", false, "is taken for"},
		{"over", map[string]any{"exp": now.Add(-time.Second).Unix()}, "", false, "ran out"},
		{"without an end", map[string]any{"exp": nil}, "", false, "ran out"},
		{"without a subject", map[string]any{"sub": nil}, "", false, "no subject"},
		{"nonce of ours", map[string]any{"nonce": signin.Challenge("w")}, "w", false, ""},
		{"nonce of another", map[string]any{"nonce": signin.Challenge("x")}, "w", false, "another sign-in's"},
		{"nonce, and no word", map[string]any{"nonce": signin.Challenge("")}, "", false, "another sign-in's"},
		{"browser", map[string]any{"aud": "page", "nonce": signin.Challenge("w")}, "w", true, ""},
		{"browser without nonce", map[string]any{"aud": "page"}, "w", true, "another sign-in's"},
		{"capitals", map[string]any{"email": "Root@EXAMPLE.org"}, "", false, ""},
		{"the reserved name", map[string]any{"email": "ROOT@example.org"}, "", false, "not to be had"},
		{"no address", map[string]any{"email": nil}, "", false, "does not tell"},
		{"an address that is a list", map[string]any{"email": []string{"ann@example.org"}}, "", false, "does not tell"},
		{"below the domain", map[string]any{"email": "ann@evil.example.org"}, "", false, "none of the domains"},
		{"behind the domain", map[string]any{"email": "ann@example.org.evil"}, "", false, "none of the domains"},
		{"no one at the domain", map[string]any{"email": "@example.org"}, "", false, "none of the domains"},
		{"letters that look alike", map[string]any{"email": "\u0430nn@example.org"}, "", false, "no name here"},
		{"a line end", map[string]any{"email": "ann@example.org\n"}, "", false, "no name here"},
		{"an option", map[string]any{"email": "-ann@example.org"}, "", false, "no name here"},
		{"long", map[string]any{"email": strings.Repeat("a", 200) + "@example.org"}, "", false, "no name here"},
	} {
		if test.name == "the reserved name" {
			p = believe(t, l.URL, func(o *signin.Options) { o.Reserved = []string{"root@example.org"} })
		}
		claims := maps.Clone(good)
		for name, value := range test.change {
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
		}
		who, err := p.Verify(t.Context(), signin.Proof{IDToken: l.sign(t, claims), Verifier: test.word, Browser: test.browser})
		switch {
		case test.refused == "" && err != nil:
			t.Errorf("%s: err = %v", test.name, err)
		case test.refused != "" && (!errors.Is(err, compute.ErrDenied) || !strings.Contains(err.Error(), test.refused)):
			t.Errorf("%s: %+v, %v; want to be refused with %q", test.name, who, err, test.refused)
		}
	}
	named := believe(t, l.URL, func(o *signin.Options) { o.NameClaim, o.Reserved = "preferred_username", []string{"root"} })
	claims := maps.Clone(good)
	claims["preferred_username"] = "Root"
	who, err := named.Verify(t.Context(), signin.Proof{IDToken: l.sign(t, claims)})
	refused(t, who, err, "not to be had")
	// The public key is no secret to sign with, whatever the provider says that it uses.
	body := strings.Split(l.sign(t, good), ".")[1]
	for _, head := range []string{`{"alg":"HS256","kid":"1"}`, `{"alg":"none"}`} {
		if who, err := p.Verify(
			t.Context(), signin.Proof{IDToken: part([]byte(head)) + "." + body + "." + part([]byte("x"))},
		); !errors.Is(err, compute.ErrDenied) {
			t.Errorf("%s: who = %+v, err = %v; want error compute.ErrDenied", head, who, err)
		}
	}
}
