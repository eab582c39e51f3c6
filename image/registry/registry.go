// Package registry has the code that knows registries of images: the rules of their names, logins,
// fetching from them, and sending there. It also writes images into layouts and archives.
package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/hostler-project/hostler/image"
)

// Client is an image.Registry in this process.
type Client struct{}

// Read reads the name of a registry's image.
func (Client) Read(text string, insecure []string) (image.Name, error) {
	n, err := name.ParseReference(text)
	if err == nil && slices.Contains(insecure, n.Context().RegistryStr()) {
		n, err = name.ParseReference(text, name.Insecure)
	}
	if err != nil {
		return image.Name{}, plainName(text, err)
	}
	_, tagged := n.(name.Tag)
	repo := n.Context()
	return image.Name{
		Full: n.Name(), Host: repo.RegistryStr(), Repository: repo.Name(), Identifier: n.Identifier(), Tagged: tagged,
		Plain: repo.Scheme() == "http",
	}, nil
}

// reference returns the library's form of a name.
func reference(n image.Name) (name.Reference, error) {
	if n.Plain {
		return name.ParseReference(n.Full, name.Insecure)
	}
	return name.ParseReference(n.Full)
}

// plainName shortens the library's error for a bad name, which may be the name alone.
func plainName(ref string, err error) error {
	text := strings.TrimPrefix(err.Error(), "could not parse reference: ")
	if text == ref {
		return errors.New(
			"not the name of an image: of small letters, digits, dots, dashes and slashes, with a host before it and a tag behind",
		)
	}
	return errors.New(text)
}

// Login returns what the user's configuration of docker or podman has for the registry of a name,
// in the form that docker's API wants; "": nothing.
func (Client) Login(ctx context.Context, text string) (string, error) {
	r, err := name.ParseReference(text)
	if err != nil {
		return "", err
	}
	found, err := authn.Resolve(ctx, authn.DefaultKeychain, r.Context())
	if err != nil || found == authn.Anonymous {
		return "", err
	}
	c, err := authn.Authorization(ctx, found)
	if err != nil {
		return "", err
	}
	server := r.Context().RegistryStr()
	if server == name.DefaultRegistry {
		server = authn.DefaultAuthKey
	}
	b, err := json.Marshal(map[string]string{
		"username": c.Username, "password": c.Password, "identitytoken": c.IdentityToken,
		"registrytoken": c.RegistryToken, "serveraddress": server,
	})
	return base64.URLEncoding.EncodeToString(b), err
}
