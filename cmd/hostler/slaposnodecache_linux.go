package main

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/node/software"
	"github.com/hostler-project/hostler/slap/cache"
)

// useCache has releases be fetched from the binary cache of [networkcache], and those that are built be uploaded there. What is wrong with it is a warning, and all is built here.
func (n *nodeCommand) useCache(b *software.Builder) {
	with := func(ctx context.Context, do func(r *cache.Releases) error) error {
		r, end, err := n.binaryCache(ctx)
		if err != nil {
			return fmt.Errorf("[networkcache]: %w", err)
		}
		defer end()
		return do(r)
	}
	b.Fetch = func(ctx context.Context, url, root string) (got bool, err error) {
		var used bool
		err = with(ctx, func(r *cache.Releases) (err error) {
			used = true
			got, err = r.Fetch(ctx, url, root)
			return err
		})
		if err != nil && !used && ctx.Err() == nil {
			n.warn("The binary cache is not used: %s", plain(err))
			return false, nil
		}
		return got, err
	}
	b.Upload = func(ctx context.Context, url, dir string) error {
		return with(ctx, func(r *cache.Releases) error { return r.Upload(ctx, url, dir) })
	}
}

// binaryCache is the cache that the file names; end closes it.
func (n *nodeCommand) binaryCache(ctx context.Context) (r *cache.Releases, end func(), err error) {
	const section = "networkcache"
	text := func(key string) string {
		if err != nil {
			return ""
		}
		var found string
		found, err = n.file.Text(section, key)
		return found
	}
	lines := func(key string) []string {
		if err != nil {
			return nil
		}
		var found []string
		found, err = n.file.Lines(section, key)
		return found
	}
	r = &cache.Releases{Log: func(line string) { n.say("%s", line) }}
	r.NotFetched = append(lines("download-from-binary-cache-url-blacklist"), lines("binary-cache-url-blacklist")...)
	r.NotUploaded, r.OnlyFetched = lines("upload-to-binary-cache-url-blacklist"), lines("download-from-binary-cache-force-url-list")
	contents := cache.Options{CAFile: text("shacache-ca-file"), CertFile: text("shacache-cert-file"), KeyFile: text("shacache-key-file")}
	entries := cache.Options{CAFile: text("shadir-ca-file"), CertFile: text("shadir-cert-file"), KeyFile: text("shadir-key-file")}
	urls := map[string]string{}
	for _, key := range []string{"download-binary-cache-url", "download-binary-dir-url", "upload-binary-cache-url", "upload-binary-dir-url"} {
		urls[key] = text(key)
	}
	signers, keyFile := text("signature-certificate-list"), text("signature-private-key-file")
	if n.signatureKey != "" {
		keyFile = n.signatureKey
	}
	if err != nil {
		return nil, nil, err
	}
	if entries.Signers, err = cache.ParseSigners(signers); err != nil {
		return nil, nil, err
	}
	if strings.Join(slices.Collect(maps.Values(urls)), "") != "" { // else nobody wants to know
		if r.Here, err = cache.This(ctx); err != nil {
			return nil, nil, err
		}
	}
	var opened []interface{ Close() }
	end = func() {
		for _, one := range opened {
			one.Close()
		}
	}
	open := func(contentsAt, entriesAt string) (d *cache.Directory, s *cache.Store) {
		if err != nil || contentsAt == "" || entriesAt == "" {
			return nil, nil
		}
		c, e := contents, entries
		c.URL, e.URL = contentsAt, entriesAt
		if d, err = cache.OpenDirectory(e); err != nil {
			return nil, nil
		}
		opened = append(opened, d)
		if s, err = cache.OpenStore(c); err != nil {
			return nil, nil
		}
		opened = append(opened, s)
		return d, s
	}
	r.Entries, r.Content = open(urls["download-binary-cache-url"], urls["download-binary-dir-url"])
	r.EntriesTo, r.ContentTo = open(urls["upload-binary-cache-url"], urls["upload-binary-dir-url"])
	if err == nil && keyFile != "" && r.EntriesTo != nil {
		r.Key, err = signingKey(keyFile, entries.Signers)
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return r, end, nil
}

// signingKey reads a key by which entries are signed. Its certificate must be in the list: else this machine would not believe itself.
func signingKey(file string, signers []*x509.Certificate) (*rsa.PrivateKey, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key in PEM", file)
	}
	var key *rsa.PrivateKey
	if any, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		key, _ = any.(*rsa.PrivateKey)
	} else if key, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
		return nil, fmt.Errorf("the key in %s cannot be read: %w", file, err)
	}
	if key == nil {
		return nil, fmt.Errorf("the key in %s is not of RSA", file)
	}
	for _, c := range signers {
		if key.PublicKey.Equal(c.PublicKey) {
			return key, nil
		}
	}
	return nil, errors.New("signature-certificate-list has not the certificate of the key by which is signed")
}
