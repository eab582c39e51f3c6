package session

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/cfg"
	slapclient "github.com/hostler-project/hostler/slapos/proto/client"
)

// ClientFile returns the client's configuration file.
func (s *Session) ClientFile() (string, error) {
	if s.File != "" {
		return s.File, nil
	}
	if path := os.Getenv("SLAPOS_CLIENT_CONFIGURATION"); path != "" {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".slapos", "slapos-client.cfg"), nil
}

// Configuration reads the client's configuration file once.
func (s *Session) Configuration() (*cfg.Client, error) {
	if s.Settings != nil {
		return s.Settings, nil
	}
	path, err := s.ClientFile()
	if err != nil {
		return nil, err
	}
	f, err := cfg.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Invalid("hostler slapos configure client makes it; --cfg FILE names another", "there is no %s", path)
	} else if err != nil {
		return nil, fault.Invalid("", "%w", err)
	}
	for _, note := range f.Unknown() {
		s.Log.Note("%s", note)
	}
	if s.Settings, err = f.Client(); err != nil {
		return nil, fault.Invalid("", "%w", err)
	}
	return s.Settings, nil
}

// Master returns a client of the master that the file names.
func (s *Session) Master() (*slapclient.Client, error) {
	if s.Client != nil {
		return s.Client, nil
	}
	c, err := s.Configuration()
	if err != nil {
		return nil, err
	}
	s.Client, err = slapclient.New(slapclient.Options{
		URL: c.Master, RestURL: c.Rest, CertFile: c.CertFile, KeyFile: c.KeyFile, CAFile: c.CAFile, Insecure: s.Insecure,
	})
	if err != nil {
		return nil, fault.Invalid("", "%w", err)
	}
	return s.Client, nil
}

// Release returns the URL of a software release. text is a URL, an alias of the configuration, or
// product.NAME for the product's best release.
func (s *Session) Release(ctx context.Context, text string) (string, error) {
	c, err := s.Configuration()
	if err != nil {
		return "", err
	}
	text = c.Release(text)
	product, ok := strings.CutPrefix(text, "product.")
	if !ok || strings.ContainsAny(product, "/:") {
		return text, nil
	}
	master, err := s.Master()
	if err != nil {
		return "", err
	}
	all, err := master.Releases(ctx, product)
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", &compute.Error{Kind: compute.ErrNotFound, Err: fmt.Errorf("the master knows no release of a product %q", product)}
	}
	s.Log.Note("%s is %s", text, all[0])
	return all[0], nil
}
