// Provider is a provider of OpenID Connect for tests: the example of github.com/zitadel/oidc with people, clients and faults of our own.
//
// It takes its settings as JSON on standard input and serves on loopback until it is killed; what it prints first is the address that it listens on.
// POST /test/rotate has it sign with a new key and forget the old one.
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/text/language"
)

// settings are what a test says. In tests there is a copy of them.
type settings struct {
	Issuer   string            // "": the address that it listens on
	Clients  map[string]client // by id
	People   map[string]person // by what they type as their name; the password is "secret"
	Code     time.Duration     // for so long a device's code is good
	Interval int               // seconds between questions of a device
}

type client struct {
	Secret   string        // "": public
	Redirect []string      // of browsers
	Thin     bool          // ID tokens say nothing of a person but the subject
	Lives    time.Duration // an ID token
}

type person struct {
	Email    string
	Verified bool
	Name     string // preferred_username
	Groups   []string
}

func main() {
	var s settings
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	if s.Issuer == "" {
		s.Issuer = "http://" + l.Addr().String()
	}
	st := newStore(s)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /test/rotate", func(http.ResponseWriter, *http.Request) { st.rotate() })
	mux.Handle("/", st.handler())
	fmt.Println("http://" + l.Addr().String())
	log.Fatal(http.Serve(l, mux))
}

// store is the example's, with people that have groups, clients of our own, and keys that change.
type store struct {
	*storage.Storage
	settings settings

	mu  sync.Mutex
	key *rsa.PrivateKey
	id  string
}

type people map[string]*storage.User

func (p people) GetUserByID(id string) *storage.User         { return p[id] }
func (p people) GetUserByUsername(name string) *storage.User { return p[name] }
func (p people) ExampleClientID() string                     { return "none" }

func newStore(s settings) *store {
	users := people{}
	for id, who := range s.People {
		users[id] = &storage.User{ID: id, Username: id, Password: "secret", Email: who.Email, EmailVerified: who.Verified, PreferredLanguage: language.English}
	}
	clients := map[string]*storage.Client{}
	for id, c := range s.Clients {
		clients[id] = storage.WebClient(id, c.Secret, c.Redirect...)
	}
	out := &store{Storage: storage.NewStorageWithClients(users, clients), settings: s}
	out.rotate()
	return out
}

// rotate changes the key. The old one is known no more.
func (s *store) rotate() {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		log.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key, s.id = key, uuid.NewString()
}

type signing struct {
	id  string
	key *rsa.PrivateKey
}

func (k signing) ID() string                                  { return k.id }
func (k signing) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k signing) Key() any                                    { return k.key }

type public struct{ signing }

func (k public) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k public) Use() string                        { return "sig" }
func (k public) Key() any                           { return &k.key.PublicKey }

func (s *store) now() signing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return signing{s.id, s.key}
}

func (s *store) SigningKey(context.Context) (op.SigningKey, error) { return s.now(), nil }
func (s *store) KeySet(context.Context) ([]op.Key, error)          { return []op.Key{public{s.now()}}, nil }

// ours is a client of the example with what our settings say of it.
type ours struct {
	op.Client
	client
}

func (c ours) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeDeviceCode, oidc.GrantTypeRefreshToken}
}

func (c ours) ApplicationType() op.ApplicationType {
	if c.Secret == "" {
		return op.ApplicationTypeNative
	}
	return op.ApplicationTypeWeb
}

func (c ours) AuthMethod() oidc.AuthMethod {
	if c.Secret == "" {
		return oidc.AuthMethodNone
	}
	return oidc.AuthMethodBasic
}

func (c ours) IDTokenUserinfoClaimsAssertion() bool { return !c.Thin }

func (c ours) IDTokenLifetime() time.Duration {
	if c.Lives != 0 {
		return c.Lives
	}
	return time.Hour
}

func (s *store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return ours{c, s.settings.Clients[id]}, nil
}

// more adds what the example's people do not have.
func (s *store) more(info *oidc.UserInfo, id string, scopes []string) {
	who := s.settings.People[id]
	for _, scope := range scopes {
		if scope == oidc.ScopeProfile {
			info.PreferredUsername = who.Name
			info.AppendClaims("groups", who.Groups)
		}
	}
}

func (s *store) SetUserinfoFromRequest(ctx context.Context, info *oidc.UserInfo, request op.IDTokenRequest, scopes []string) error {
	if err := s.Storage.SetUserinfoFromRequest(ctx, info, request, scopes); err != nil {
		return err
	}
	s.more(info, request.GetSubject(), scopes)
	return nil
}

func (s *store) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, token, subject, origin string) error {
	if err := s.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin); err != nil {
		return err
	}
	s.more(info, subject, []string{oidc.ScopeProfile})
	return nil
}

// handler is all that the provider serves. The pages are the example's.
func (s *store) handler() http.Handler {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	settings := op.Config{
		CryptoKey: sha256.Sum256([]byte(rand.Text())), CodeMethodS256: true, AuthMethodPost: true, SupportedUILocales: []language.Tag{language.English},
		DeviceAuthorization: op.DeviceAuthorizationConfig{
			Lifetime: s.settings.Code, PollInterval: time.Duration(s.settings.Interval) * time.Second, UserFormPath: "/device", UserCode: op.UserCodeBase20,
		},
	}
	// The example's server has settings of its own, so its provider is replaced; the login pages find their requests in the same storage.
	pages := exampleop.SetupServer(s.settings.Issuer, s, logger, false)
	provider, err := op.NewProvider(&settings, s, op.StaticIssuer(s.settings.Issuer), op.WithAllowInsecure(), op.WithLogger(logger),
		op.WithCustomAuthEndpoint(op.NewEndpoint("auth"))) // where the example's pages send browsers back to
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/login/", pages)
	mux.Handle("/device", pages)
	mux.Handle("/device/", pages)
	mux.Handle("/", provider)
	return mux
}
